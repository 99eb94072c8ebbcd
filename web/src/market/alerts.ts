/** Rules and alerts as the server keeps them. */
import type { Alert } from "../wire/messages";
import { answered, ask, posting } from "../wire/server";
import { useLive } from "./state";

const ALERTS_KEPT = 500;
const ASKED = 200;

export interface Rule {
  id: number;
  kind: string;
  exchange: string;
  symbol: string;
  [said: string]: unknown;
}

interface Field {
  name: string;
  label: string;
  value: string;
}

/** What people may ask to be told of, and the one number that each needs. */
export const KINDS: { kind: string; name: string; fields: Field[] }[] = [
  { kind: "large_order", name: "new large order", fields: [{ name: "size", label: "size ≥", value: "" }] },
  { kind: "large_pulled", name: "large order pulled", fields: [{ name: "size", label: "size ≥", value: "" }] },
  { kind: "pulled_at_touch", name: "pulled near the touch", fields: [{ name: "size", label: "size ≥", value: "" }, { name: "distance_bps", label: "within, bps", value: "5" }] },
  { kind: "spread", name: "wide spread", fields: [{ name: "spread_bps", label: "bps ≥", value: "5" }, { name: "seconds", label: "for, s", value: "1" }] },
  { kind: "imbalance", name: "imbalance", fields: [{ name: "imbalance", label: "0 to 1 ≥", value: "0.7" }, { name: "seconds", label: "for, s", value: "5" }] },
  { kind: "silence", name: "silence", fields: [{ name: "seconds", label: "for, s", value: "10" }] },
  { kind: "gap", name: "gap", fields: [] },
  { kind: "finding", name: "finding", fields: [{ name: "score", label: "score ≥", value: "0.5" }] },
];

export function nameOf(kind: string): string {
  return KINDS.find((each) => each.kind === kind)?.name ?? kind;
}

/** A rule in words; what is as usual is left out. */
export function wordsOf(rule: Rule): string {
  const parts = ["size", "notional", "quantile", "distance_bps", "spread_bps", "imbalance", "seconds", "pattern", "score"]
    .filter((name) => rule[name] !== undefined && rule[name] !== null && !(name === "seconds" && rule[name] === 0))
    .map((name) => ({
      size: `size ≥ ${rule.size}`,
      notional: `size × price ≥ ${rule.notional}`,
      quantile: `of the largest ${Number(((1 - Number(rule.quantile)) * 100).toFixed(3))} %`,
      distance_bps: `within ${rule.distance_bps} bps`,
      spread_bps: `≥ ${rule.spread_bps} bps`,
      imbalance: `≥ ${rule.imbalance}`,
      seconds: `for ${rule.seconds} s`,
      pattern: String(rule.pattern),
      score: `score ≥ ${rule.score}`,
    })[name]);
  return [nameOf(rule.kind), ...parts, rule.webhook ? `to ${String(rule.webhook)}` : ""].filter(Boolean).join(", ");
}

/** Those that came meanwhile stay; newest first. */
export function merged(known: Alert[], more: Alert[]): Alert[] {
  const all = new Map([...more, ...known].map((alert) => [alert.id, alert]));
  return [...all.values()].sort((a, b) => (a.t < b.t ? 1 : a.t > b.t ? -1 : 0)).slice(0, ALERTS_KEPT);
}

/** `address` leads to …/alerts. */
export class AlertBook {
  constructor(private readonly address: string) {}

  /** What the server has, into the state; a problem is told there, too. */
  async load(): Promise<void> {
    await this.tried(async () => {
      const [kept, fired] = await Promise.all([
        ask<{ rules: Rule[]; detail?: string }>(`${this.address}/rules`),
        ask<{ alerts: Alert[] }>(`${this.address}?limit=${ASKED}`),
      ]);
      useLive.setState((state) => ({
        rules: kept.rules,
        rulesKept: kept.detail ?? "",
        alerts: merged(state.alerts, fired.alerts),
      }));
    });
  }

  async add(wish: Record<string, unknown>): Promise<boolean> {
    return this.tried(async () => {
      await answered(`${this.address}/rules`, posting(wish));
      await this.load();
    });
  }

  async remove(id: number): Promise<void> {
    await this.tried(async () => {
      await answered(`${this.address}/rules/${id}`, { method: "DELETE" });
      await this.load();
    });
  }

  private async tried(task: () => Promise<void>): Promise<boolean> {
    try {
      useLive.setState({ rulesError: "" });
      await task();
      return true;
    } catch (error) {
      useLive.setState({ rulesError: (error as Error).message });
      return false;
    }
  }
}
