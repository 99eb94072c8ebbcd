/** The markets that a server knows. */
import type { Listed } from "./state";

interface StreamTold {
  symbol: string;
  exchanges?: string[];
  exchange?: string;
  is_active?: boolean;
  simulated?: boolean;
  state?: string;
}

export function listed(answer: { streams?: StreamTold[] }): Listed[] {
  const found = (answer.streams ?? []).flatMap((stream) =>
    (stream.exchanges ?? [stream.exchange ?? ""]).map((exchange) => ({
      exchange,
      symbol: stream.symbol,
      active: stream.is_active === true,
      simulated: stream.simulated === true,
      state: stream.state ?? "",
    })),
  );
  return found.sort((a, b) => Number(b.active) - Number(a.active) || a.symbol.localeCompare(b.symbol));
}
