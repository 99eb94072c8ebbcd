/** What operators look at: streams, roles, database and disk, out of what the server measures anyway. */
import { answered, ask } from "../wire/server";

interface Measured {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Lines of Prometheus' text; what is no sample is passed over. */
export function readMetrics(text: string): Measured[] {
  const found: Measured[] = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-z_]+)(?:\{(.*)\})? ([^ ]+)/.exec(line);
    if (!parts) continue;
    const labels = Object.fromEntries([...(parts[2] ?? "").matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map((pair) => [pair[1], pair[2].replace(/\\(.)/g, "$1")]));
    found.push({ name: parts[1], labels, value: Number(parts[3]) });
  }
  return found;
}

/** One figure, of a market where its name is told; several of one name are summed.  NaN: not measured. */
export function figure(measured: Measured[], name: string, labels: Record<string, string> = {}): number {
  const wanted = Object.entries(labels);
  const found = measured.filter((each) => each.name === `ordertape_${name}` && wanted.every(([label, value]) => each.labels[label] === value));
  return found.length ? found.reduce((sum, { value }) => sum + value, 0) : NaN;
}

interface Ready {
  ready: boolean;
  not_ready: { part: string; reason: string }[];
}

interface StreamNow {
  exchange: string;
  symbol: string;
  state: string;
  reason: string;
  sequence: number;
  age_ms: number | null;
  errors: string[];
  simulated: boolean;
}

export interface Operations {
  ready: Ready;
  streams: StreamNow[];
  measured: Measured[];
  at: number;
}

/** Throws where the server does not answer. */
export async function askOperations(base: string, api: string): Promise<Operations> {
  const [ready, { streams }, metrics] = await Promise.all([
    answered(new URL("readyz", base), {}, 503),
    ask<{ streams: (StreamNow & { exchanges: string[] })[] }>(new URL(`${api}/level3/streams`, base)),
    answered(new URL("metrics", base)),
  ]);
  return {
    ready: (await ready.json()) as Ready,
    streams: streams.map((stream) => ({ ...stream, exchange: stream.exchanges[0] ?? "" })),
    measured: readMetrics(await metrics.text()),
    at: Date.now(),
  };
}
