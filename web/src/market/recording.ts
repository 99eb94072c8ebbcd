/** What was recorded of a market, at a glance. */
import { address, ask, marketPath } from "../wire/server";

export interface Gap {
  from: string;
  to: string | null;
  reason: string;
}

export interface Recording {
  first: string | null;
  last: string | null;
  events: number;
  bytes: number;
  /** Best prices now and then. */
  prices: { t: string; bid: number | null; ask: number | null }[];
  eras: { t: string; era: number }[];
  gaps: Gap[];
  state: string;
  age_ms: number | null;
}

/** A text: why it is not known. */
export async function askRecording(exchange: string, symbol: string): Promise<Recording | string> {
  try {
    return await ask<Recording>(address(`heatmap/${marketPath(exchange, symbol)}/overview`));
  } catch (error) {
    return (error as Error).message;
  }
}
