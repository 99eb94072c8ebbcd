/** What the detectors found, as the page keeps it. */
import type { Finding } from "../wire/messages";
import { ask, marketPath } from "../wire/server";
import { clock, short, span } from "./numbers";

const FINDINGS_KEPT = 500;
/** Of the orders and phases of each, or a few that go on for hours would fill the memory. */
const ORDERS_KEPT = 50;
const PHASES_KEPT = 20;

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
    all.set(each.id, { ...newer, phases: ends(phases), order_ids: newer.order_ids.slice(0, ORDERS_KEPT) });
  }
  return [...all.values()].sort((a, b) => (a.told < b.told ? 1 : a.told > b.told ? -1 : 0)).slice(0, FINDINGS_KEPT);
}

function merged(before: Finding, now: Finding): Finding["phases"] {
  const all = new Map([...before.phases, ...now.phases].map((each) => [`${each.at} ${each.phase}`, each]));
  return [...all.values()].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/** The first phase, which says since when it is known, and the last ones. */
function ends(phases: Finding["phases"]): Finding["phases"] {
  return phases.length <= PHASES_KEPT ? phases : [phases[0], ...phases.slice(1 - PHASES_KEPT)];
}

/** The newest that the server has of a market up to a time, newest first. Throws what the server says. */
export async function load(address: string, exchange: string, symbol: string, until?: string): Promise<Finding[]> {
  const url = new URL(`${address}/${marketPath(exchange, symbol)}`);
  url.searchParams.set("limit", String(FINDINGS_KEPT));
  if (until !== undefined) url.searchParams.set("end_time", until);
  const { findings } = await ask<{ findings: Finding[] }>(url);
  return findings.map((each) => ({ ...each, price_low: String(each.price_low), price_high: String(each.price_high), size: String(each.size), filled: String(each.filled) }));
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

/** How often an iceberg showed itself again.  Of a native one its evidence says it: half of what is left to
 * one is told by each time. */
export function refillsOf(finding: Finding): number {
  if (finding.kind !== "native iceberg") return Math.max(0, finding.orders - 1);
  return Math.round(-Math.log2(Math.max(2 ** -40, 1 - (finding.evidence.refreshed ?? 0))));
}

/** What it shows at a time, how often it did, how large it is at least: nobody sees the rest. */
export function peaksOf(finding: Finding): string[] {
  const refills = refillsOf(finding);
  const shown = Number(finding.size);
  return [`peaks of about ${short(shown / (refills + 1))}, shown anew ${refills} ${refills === 1 ? "time" : "times"}`, `at least ${short(Math.max(shown, Number(finding.filled)))} in all`];
}

/** The part "went together" falls from 1 to 0 within a second. */
export function awayWithin(finding: Finding): string {
  const part = finding.evidence["went together"] ?? 0;
  return part > 0 ? span((1 - part) * 1_000) : "more than 1 s";
}

/** The card of a finding under the pointer. */
export function cardOf(finding: Finding): string[] {
  const lines = [`${NAMES[finding.kind] ?? finding.kind}  score ${finding.score.toFixed(2)}`, wordsOf(finding)];
  if (isIceberg(finding)) lines.push(`filled ${finding.filled}, ${finding.phase} ${clock(Date.parse(finding.told))}`, ...peaksOf(finding));
  if (finding.kind === "layering") lines.push(`taken away within ${awayWithin(finding)}`);
  if (Object.keys(finding.evidence).length) lines.push(`for: ${partsOf(finding.evidence)}`);
  if (Object.keys(finding.against).length) lines.push(`against: ${partsOf(finding.against)}`);
  return [...lines, "a pattern, no accusation"];
}
