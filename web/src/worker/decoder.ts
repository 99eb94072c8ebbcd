/** One market as its frames tell it: columns, ladder, queues, trades.  No socket, no clock. */
import { KEY, type Content, type Header, type Level } from "../wire/frames";
import { Follows } from "../wire/follows";
import { subtract, type Whole } from "../wire/numbers";
import { ended } from "../market/ingest";
import { LEVELS_MS } from "../market/pyramid";
import type { Column } from "../market/ring";

export const FLOW_WINDOW_US = 10_000_000;
/** Prices whose trades are summed; the one that traded longest ago goes first. */
export const TRADED_KEPT = 20_000;
/** Levels of the pyramid that the levels of detail of frames are. */
export const LEVEL_OF_LOD = [0, 3, 5, 7];

export interface LadderLevel {
  price: number;
  size: Whole;
  orders: number;
  /** Added less taken away within the last 10 s, trades left out; in size units. */
  flow: number;
  /** Traded at this price since the page looks; in size units. */
  traded: number;
}

export interface QueueTold {
  side: number;
  price: number;
  orders: number;
  shown: { handle: number; size: Whole }[];
}

export interface TradeTold {
  t_us: number;
  price: number;
  size: Whole;
  /** 0 buys, 1 sells, 2 unknown. */
  side: number;
}

export interface GapTold {
  from_us: number;
  to_us: number;
  reason: string;
}

export interface Update {
  columns: (Column & { level: number })[];
  /** What came less what was taken away, a column of 100 ms; see `flowCode`. */
  flows: Column[];
  ladder: { bids: LadderLevel[]; asks: LadderLevel[] } | null;
  queue: QueueTold[] | null;
  trades: TradeTold[];
  /** One that ends behind `t_us` comes again with what is newer, until it is drawn whole. */
  gaps: GapTold[];
  /** The newest time of a frame so far. */
  t_us: number;
}

export interface Scale {
  group: number;
  code_offset: number;
  steps_per_octave: number;
  code_unit: number;
}

/** A size's code, as near as two steps, whose last bit says whether it came (1) or was taken away. */
export function flowCode(amount: number, scale: Scale): number {
  if (amount === 0) return 0;
  const code = scale.code_offset + scale.steps_per_octave * Math.log2(Math.abs(amount) / scale.code_unit);
  return 2 * Math.min(126, Math.max(1, Math.round(code / 2))) + (amount > 0 ? 1 : 0);
}

/** `begun`: taken, and an epoch begins with it. */
type Outcome = "taken" | "begun" | "ask key" | "ignored";

interface Flow {
  t_us: number;
  amount: number;
}

export class Decoder {
  readonly follows = new Follows();
  private codes = new Uint8Array(0);
  private base = 0;
  private level = 0;
  private sides: [Map<number, Level>, Map<number, Level>] = [new Map(), new Map()];
  private queues = new Map<string, QueueTold>();
  private flows = new Map<number, Flow[]>();
  /** In the order of their last trade. */
  private traded = new Map<number, number>();
  /** When prices that nothing happened at were let go of. */
  private sweptUs = 0;
  private due: Update = empty();
  private openGap: GapTold | null = null;
  /** Of the picture: price units a row, and how sizes become codes. */
  scale: Scale = { group: 1, code_offset: 0, steps_per_octave: 12, code_unit: 1 };
  private cells = new Map<number, number>();
  private bucket = -1;

  take(header: Header, content: Content): Outcome {
    const verdict = this.follows.judge(header);
    if (verdict === "lost") return "ask key";
    if (verdict === "old") return "ignored";
    if (verdict === "begin") this.begin();
    if (header.t_us > this.due.t_us) this.due.t_us = header.t_us;
    this.apply(header, content);
    return verdict === "begin" ? "begun" : "taken";
  }

  /** What came since it was last asked, null: nothing. */
  flush(): Update | null {
    const { due } = this;
    this.sweep(due.t_us);
    if (due.ladder !== null) due.ladder = { bids: this.levels(0), asks: this.levels(1) };
    if (due.queue !== null) due.queue = [...this.queues.values()];
    const something =
      due.columns.length || due.flows.length || due.ladder || due.queue || due.trades.length || due.gaps.length;
    if (!something) return null;
    this.due = { ...empty(), t_us: due.t_us, gaps: due.gaps.filter(({ to_us }) => to_us > due.t_us) };
    return due;
  }

  private begin(): void {
    this.sides = [new Map(), new Map()];
    this.queues.clear();
    this.cells.clear();
    this.openGap = null;
    this.sweptUs = 0;
    this.due.gaps = ended(this.due.gaps, this.due.t_us);
  }

  private apply(header: Header, content: Content): void {
    switch (content.type) {
      case "HeatKey":
        this.base = content.base_row;
        this.level = LEVEL_OF_LOD[content.lod] ?? 0;
        this.codes = content.codes.slice();
        this.column(header, content);
        break;
      case "HeatDelta":
        this.codes = this.codes.slice();
        for (let nth = 0; nth < content.changed.length; nth += 2) {
          this.codes[content.changed[nth]] = content.changed[nth + 1];
        }
        this.column(header, content);
        break;
      case "Gap": {
        const told = { from_us: content.from_us, to_us: content.to_us, reason: content.reason };
        this.openGap = told.to_us === 0 ? told : null;
        this.due.gaps.push(told);
        break;
      }
      case "Ladder":
        this.ladder(header, [content.bids, content.asks]);
        break;
      case "Queue":
        if (header.flags & KEY) this.queues.clear();
        for (const level of content.levels) {
          const name = `${level.side}:${level.price}`;
          if (level.orders === 0) this.queues.delete(name);
          else this.queues.set(name, { ...level, price: Number(level.price) });
        }
        this.due.queue = [];
        break;
      case "Trades":
        for (const trade of content.trades) {
          const price = Number(trade.price);
          this.sum(price, Number(trade.size));
          // Who buys takes from an ask: that it went is no taking away.  Of an unknown taker nobody knows from which side.
          if (trade.taker_side < 2) this.flow(price, trade.taker_side === 0 ? 1 : 0, header.t_us, Number(trade.size));
          this.due.trades.push({
            t_us: header.t_us - trade.behind_us,
            price,
            size: trade.size,
            side: trade.taker_side,
          });
        }
        this.due.ladder ??= { bids: [], asks: [] };
    }
  }

  private column(header: Header, told: { bid: Whole | null; ask: Whole | null; last: Whole | null }): void {
    if (header.t_us === 0 || this.openGap !== null) return;
    this.due.columns.push({
      level: this.level,
      bucket: Math.floor(header.t_us / 1_000 / LEVELS_MS[this.level]),
      base: this.base,
      codes: this.codes,
      bid: told.bid === null ? NaN : Number(told.bid),
      ask: told.ask === null ? NaN : Number(told.ask),
      last: told.last === null ? NaN : Number(told.last),
    });
  }

  private ladder(header: Header, told: [Level[], Level[]]): void {
    const isKey = (header.flags & KEY) !== 0;
    for (const side of [0, 1] as const) {
      const levels = this.sides[side];
      if (isKey) levels.clear();
      const edge = edgeOf(levels, side);
      const amounts: [number, number][] = [];
      for (const level of told[side]) {
        const price = Number(level.price);
        const before = levels.get(price)?.size ?? 0;
        if (!isKey) amounts.push([price, Number(subtract(level.size, before))]);
        if (Number(level.size) === 0) levels.delete(price);
        else levels.set(price, level);
      }
      // What comes into the window at its far end, or leaves it there, stood before and stands on.
      const ends = [edge, edgeOf(levels, side)];
      const better = (price: number): boolean => ends.every((end) => (side === 0 ? price >= end : price <= end));
      for (const [price, amount] of amounts) if (better(price)) this.flow(price, side, header.t_us, amount);
    }
    this.due.ladder = { bids: [], asks: [] };
  }

  private flow(price: number, side: 0 | 1, t_us: number, amount: number): void {
    this.cell(price, side, t_us, amount);
    const flows = this.flows.get(price);
    if (flows) flows.push({ t_us, amount });
    else this.flows.set(price, [{ t_us, amount }]);
  }

  private cell(price: number, side: 0 | 1, t_us: number, amount: number): void {
    const bucket = Math.ceil(t_us / 1_000 / LEVELS_MS[0]) - 1;
    if (bucket !== this.bucket) this.endFlow(bucket);
    const row = side === 0 ? Math.floor(price / this.scale.group) : Math.ceil(price / this.scale.group);
    this.cells.set(row, (this.cells.get(row) ?? 0) + amount);
  }

  /** The column of what came and went is whole. */
  private endFlow(next: number): void {
    const { base, bucket } = this;
    if (this.cells.size && this.codes.length) {
      const codes = new Uint8Array(this.codes.length);
      for (const [row, amount] of this.cells) {
        if (row >= base && row < base + codes.length) codes[row - base] = flowCode(amount, this.scale);
      }
      this.due.flows.push({ bucket, base, codes, bid: NaN, ask: NaN, last: NaN });
    }
    this.cells.clear();
    this.bucket = next;
  }

  private levels(side: 0 | 1): LadderLevel[] {
    const since = this.due.t_us - FLOW_WINDOW_US;
    const found = [...this.sides[side].values()].map((level): LadderLevel => {
      const price = Number(level.price);
      return {
        price,
        size: level.size,
        orders: level.orders,
        flow: this.flowAt(price, since),
        traded: this.traded.get(price) ?? 0,
      };
    });
    return found.sort(side === 0 ? (a, b) => b.price - a.price : (a, b) => a.price - b.price);
  }

  private sum(price: number, size: number): void {
    const sum = (this.traded.get(price) ?? 0) + size;
    this.traded.delete(price);
    this.traded.set(price, sum);
    if (this.traded.size > TRADED_KEPT) this.traded.delete(this.traded.keys().next().value!);
  }

  /** Prices that left the ladder are asked for no more: what is too old there is let go of here. */
  private sweep(t_us: number): void {
    if (t_us < this.sweptUs + FLOW_WINDOW_US) return;
    this.sweptUs = t_us;
    for (const price of this.flows.keys()) this.flowAt(price, t_us - FLOW_WINDOW_US);
  }

  private flowAt(price: number, since: number): number {
    const flows = this.flows.get(price);
    if (!flows) return 0;
    const kept = flows.filter((flow) => flow.t_us >= since);
    if (kept.length) this.flows.set(price, kept);
    else this.flows.delete(price);
    return kept.reduce((sum, flow) => sum + flow.amount, 0);
  }
}

/** Prices that the server shows a side. */
const LADDER_LEVELS = 200;

/** The worst price of a window that is full; where it is not, nothing lies beyond it. */
function edgeOf(levels: Map<number, Level>, side: 0 | 1): number {
  const worst = side === 0 ? Math.min : Math.max;
  if (levels.size < LADDER_LEVELS) return side === 0 ? -Infinity : Infinity;
  return [...levels.keys()].reduce((a, b) => worst(a, b));
}

function empty(): Update {
  return { columns: [], flows: [], ladder: null, queue: null, trades: [], gaps: [], t_us: 0 };
}
