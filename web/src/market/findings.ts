/** What the detectors found, as the page keeps it. */
import type { Finding } from "../wire/messages";
import { clock, span } from "./numbers";

export const FINDINGS_KEPT = 1_000;
const ASKED = 500;

export const NAMES: Record<string, string> = {
  "spoof-like": "Spoof-like",
  layering: "Layering",
  "quote stuffing": "Quote stuffing",
  "native iceberg": "Native iceberg",
  "synthetic iceberg": "Synthetic iceberg",
  "momentum ignition": "Momentum ignition",
};

/** Nobody can see a trader in a public feed. */
export const HONEST = "Patterns of orders, found by rules. No public feed says who meant what.";

export function isIceberg(finding: Finding): boolean {
  return finding.kind.endsWith("iceberg");
}

/** Later words on a finding replace earlier ones; the oldest are let go. Newest first. */
export function joined(known: Finding[], more: Finding[]): Finding[] {
  const all = new Map(known.map((each) => [each.id, each]));
  for (const each of more) {
    const before = all.get(each.id);
    const phases = before ? merged(before, each) : each.phases;
    const newer = before && before.told_sequence > each.told_sequence ? before : each;
    all.set(each.id, { ...newer, phases });
  }
  return [...all.values()].sort((a, b) => (a.told < b.told ? 1 : a.told > b.told ? -1 : 0)).slice(0, FINDINGS_KEPT);
}

function merged(before: Finding, now: Finding): Finding["phases"] {
  const all = new Map([...before.phases, ...now.phases].map((each) => [`${each.at} ${each.phase}`, each]));
  return [...all.values()].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/** What the server has of a market up to a time, newest first. Throws what the server says. */
export async function load(address: string, exchange: string, symbol: string, until?: string): Promise<Finding[]> {
  const url = new URL(`${address}/${encodeURIComponent(exchange)}/${symbol.split("/").map(encodeURIComponent).join("/")}`);
  url.searchParams.set("limit", String(ASKED));
  if (until !== undefined) url.searchParams.set("end_time", until);
  const response = await fetch(url);
  const told = (await response.json().catch(() => ({}))) as { findings?: Finding[]; detail?: string };
  if (!response.ok) throw new Error(told.detail ?? `the server answered ${response.status}`);
  return (told.findings ?? []).map((each) => ({ ...each, price_low: String(each.price_low), price_high: String(each.price_high), size: String(each.size), filled: String(each.filled) }));
}

/** One line of a card, or a list. */
export function wordsOf(finding: Finding): string {
  const prices = finding.price_low === finding.price_high ? finding.price_low : `${finding.price_low} to ${finding.price_high}`;
  const lasted = span(Date.parse(finding.ended) - Date.parse(finding.began));
  return `${finding.side} of ${finding.size} at ${prices}, ${finding.orders} ${finding.orders === 1 ? "order" : "orders"}, ${lasted}`;
}

/** Its parts, the strongest first. */
export function partsOf(parts: Record<string, number>): string {
  return Object.entries(parts)
    .sort(([, a], [, b]) => b - a)
    .map(([name, part]) => `${name} ${part.toFixed(2)}`)
    .join(", ");
}

/** The card of a finding under the pointer. */
export function cardOf(finding: Finding): string[] {
  const lines = [`${NAMES[finding.kind] ?? finding.kind}  score ${finding.score.toFixed(2)}`, wordsOf(finding)];
  if (isIceberg(finding)) lines.push(`filled ${finding.filled}, ${finding.phase} ${clock(Date.parse(finding.told))}`);
  if (Object.keys(finding.evidence).length) lines.push(`for: ${partsOf(finding.evidence)}`);
  if (Object.keys(finding.against).length) lines.push(`against: ${partsOf(finding.against)}`);
  return [...lines, "a pattern, no accusation"];
}
