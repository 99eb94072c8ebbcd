/** The address of a view, so that it can be given to somebody else. */
import type { Opened } from "../wire/messages";

export interface Address {
  exchange?: string;
  symbol?: string;
  group?: number;
  /** A replay from then on. */
  at?: string;
}

export function readAddress(search: string): Address {
  const found = new URLSearchParams(search);
  const group = Number(found.get("group"));
  return {
    exchange: found.get("exchange") ?? undefined,
    symbol: found.get("symbol") ?? undefined,
    group: Number.isSafeInteger(group) && group > 0 ? group : undefined,
    at: Number.isNaN(Date.parse(found.get("at") ?? "")) ? undefined : found.get("at")!,
  };
}

export function writeAddress(search: string, opened: Opened): string {
  const next = new URLSearchParams(search);
  next.set("exchange", opened.exchange);
  next.set("symbol", opened.symbol);
  next.set("group", String(opened.group));
  if (opened.source === "live") next.delete("at");
  return `?${next}`;
}
