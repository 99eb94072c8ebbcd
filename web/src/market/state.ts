/** What the chrome around the pictures shows of a market: changes a few times a second. */
import { create } from "zustand";
import { useShallow } from "zustand/react/shallow";
import type { Rule } from "./alerts";
import type { Recording } from "./recording";
import type { Alert, Clock, Opened, OrderTold, Status } from "../wire/messages";
import type { ConnectionState } from "../worker/connection";
import type { Meter } from "../worker/protocol";

export interface Listed {
  exchange: string;
  symbol: string;
  active: boolean;
  simulated: boolean;
  state: string;
}

interface Selected {
  handle: number | null;
  orderId: string | null;
  told: OrderTold | null;
  /** When it was so. */
  toldMs: number;
}

/** Rows from the lower edge of `low` to the upper edge of `high`. */
export interface Box {
  fromMs: number;
  toMs: number;
  low: number;
  high: number;
}

export interface LiveState {
  markets: Listed[] | null;
  marketsError: string;
  connection: ConnectionState;
  opened: Opened | null;
  status: Status | null;
  /** Why the market that was asked for is not shown. */
  refused: string;
  /** Why something else was not done, as a marker that isn't there, until something else is asked for. */
  denied: string;
  meter: Meter | null;
  clock: Clock | null;
  /** `Date.now()` at the newest data frame, 0: none yet. */
  heardAt: number;
  /** When the server said last how the market is. */
  statusAt: number;
  /** Milliseconds between a bucket's end and its arrival here. */
  lag: number;
  selected: Selected | null;
  /** Newest first. */
  alerts: Alert[];
  /** Alerts since the list was last looked at. */
  unseen: number;
  /** null: not asked for yet. */
  rules: Rule[] | null;
  rulesError: string;
  /** Where rules end with the server: a sentence. */
  rulesKept: string;
  /** The one that is looked at. */
  finding: string | null;
  findingsError: string;
  /** Alerts that pop up, newest first. */
  toasts: Alert[];
  /** Of the market that is replayed. */
  recording: Recording | null;
  /** A stretch of time and prices that was chosen. */
  box: Box | null;
  frozen: boolean;
  /** Grows with trades and large orders, a few times a second. */
  turn: number;
  bid: number;
  ask: number;
  last: number;
}

export const NOTHING: LiveState = {
  markets: null,
  marketsError: "",
  connection: "connecting",
  opened: null,
  status: null,
  refused: "",
  denied: "",
  meter: null,
  clock: null,
  heardAt: 0,
  statusAt: 0,
  lag: NaN,
  selected: null,
  alerts: [],
  unseen: 0,
  rules: null,
  rulesError: "",
  rulesKept: "",
  finding: null,
  findingsError: "",
  toasts: [],
  recording: null,
  box: null,
  frozen: false,
  turn: 0,
  bid: NaN,
  ask: NaN,
  last: NaN,
};

export const useLive = create<LiveState>()(() => NOTHING);

/** Some of it: whoever shows that is drawn again when that changes, not at each frame. */
export function usePart<K extends keyof LiveState>(...names: K[]): Pick<LiveState, K> {
  return useLive(useShallow((state) => Object.fromEntries(names.map((name) => [name, state[name]])) as Pick<LiveState, K>));
}

/** After so long without a frame a live market is stale. */
const STALE_MS = 2_000;

export type Health = "loading" | "live" | "replay" | "gap" | "stale" | "stopped" | "error" | "offline";

/** A venue that says nothing for so long is no longer believed to be live. */
const QUIET_MS = 30_000;

const GAPS = ["CONNECTING", "SYNCING", "RESYNCING", "GAP"];
const ENDED = ["STOPPED", "FAILED"];

/** The book of what is shown is not the one of its time. */
export function isUnknown(health: Health): boolean {
  return health === "gap" || health === "stale" || health === "stopped";
}

/** From frames first: a fresh one always says more than what was told about them. */
export function healthOf(state: LiveState, now: number): Health {
  if (!state.opened) {
    if (state.refused) return "error";
    return state.connection === "waiting" && state.heardAt === 0 ? "offline" : "loading";
  }
  const told = state.status?.state ?? "LIVE";
  const lost = ENDED.includes(told) ? "stopped" : GAPS.includes(told) ? "gap" : "stale";
  // Within a gap there are no frames, and the server goes on to say so.
  if (told !== "LIVE" && now - state.statusAt < STALE_MS) return lost;
  // A replay that stands sends nothing and is well.
  const replayed = state.opened.source === "replay" && state.connection === "open";
  const fresh = now - state.heardAt < STALE_MS;
  if (!fresh && !replayed) return state.heardAt === 0 ? "loading" : "stale";
  if (told === "LIVE") {
    if (replayed) return "replay";
    return (state.status?.age_ms ?? 0) > QUIET_MS ? "stale" : "live";
  }
  return lost;
}
