/** What the page is told in JSON.  Members that a server does not have yet are optional here. */

export interface Opened {
  op: "opened";
  stream: number;
  exchange: string;
  symbol: string;
  source: "live" | "replay";
  simulated: boolean;
  era: number;
  price_scale: number;
  size_scale: number;
  /** Price units a row. */
  group: number;
  groups: number[];
  min_size: number;
  large: number;
  bucket_ms: number;
  rows: number;
  code_offset: number;
  steps_per_octave: number;
  code_unit: number;
  epoch: number;
  first?: string;
  last?: string;
}

export interface Status {
  op: "status";
  stream: number;
  state: string;
  reason?: string;
  era?: number;
  sequence?: number;
  age_ms?: number;
  events_per_second?: number;
  latency_ms?: number | null;
  gaps?: number;
  conflated?: number;
  sent_bytes?: number;
  orders?: number;
  large_not_followed?: number;
  trades_left_out?: number;
  t?: string;
}

/** An order is told whole at first, without what is null; later its id and what changed. */
export type LargeTold = Large | (Partial<Omit<Large, "opened">> & Pick<Large, "op" | "stream" | "order_id"> & { opened?: undefined });

export interface Large {
  op: "large";
  stream: number;
  order_id: string;
  handle: number;
  side: "bid" | "ask";
  price: string;
  size: string;
  size_first: string;
  filled: string;
  fills?: number;
  amendments?: number;
  opened: string;
  ended?: string | null;
  reason?: string | null;
  ending?: string | null;
  /** How many of its events were concluded, not told. */
  inferred?: number;
  left_truncated?: boolean;
  out_of_window?: boolean;
  era: number;
}

export interface OrderTold extends Partial<Omit<Large, "op">> {
  op: "order";
  stream: number;
  detail?: string;
  orders_ahead?: number | null;
  orders_ahead_first?: number | null;
  size_ahead?: string | null;
  price_first?: string | null;
}

export interface Finding {
  op?: "finding";
  exchange?: string;
  symbol?: string;
  id: string;
  kind: string;
  side: "bid" | "ask";
  phase: string;
  began: string;
  ended: string;
  told: string;
  told_sequence: number;
  price_low: string;
  price_high: string;
  size: string;
  filled: string;
  score: number;
  /** The parts of the score, 0 to 1, and what speaks against it. */
  evidence: Record<string, number>;
  against: Record<string, number>;
  order_ids: string[];
  orders: number;
  phases: { phase: string; at: string }[];
}

export interface Alert {
  op?: "alert";
  id: string;
  /** Its kind. */
  rule: string;
  rule_id?: number;
  exchange: string;
  symbol: string;
  t: string;
  /** A text in frames, a number over REST. */
  price?: string | number | null;
  size?: string | number | null;
  side?: string | null;
  order_id?: string | null;
  text: string;
  left_out?: number;
}

export interface MetricsTold {
  op: "metrics";
  stream: number;
  t: string;
  /** Of how many seconds they are. */
  seconds: number;
  values: Record<string, number | null>;
}

export interface Clock {
  op: "clock";
  t: string;
  speed: number;
  playing: boolean;
  ended: boolean;
}

/** Nothing else was said for some seconds: the socket lives. */
export interface Alive {
  op: "alive";
}

export interface Refused {
  op: "refused";
  stream?: number;
  detail: string;
}

export type Told = Opened | Status | LargeTold | OrderTold | (Finding & { op: "finding" }) | (Alert & { op: "alert" }) | MetricsTold | Clock | Refused | Alive;
