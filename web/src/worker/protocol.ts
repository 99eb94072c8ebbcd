/** What page and worker say to each other. */
import type { Column } from "../market/ring";
import type { Told } from "../wire/messages";
import type { ConnectionState } from "./connection";
import type { Update } from "./decoder";
import type { Window } from "./histogram";

export interface OpenWish {
  exchange: string;
  symbol: string;
  source: "live" | "replay";
  at?: string;
  group?: number;
  min_size?: string;
  large?: string;
  large_notional?: string;
  large_quantile?: string;
  /** What is told; all but metrics where it is left out. */
  channels?: string[];
}

export type ToWorker =
  | { do: "connect"; url: string }
  | { do: "open"; wish: OpenWish }
  | { do: "send"; request: Record<string, unknown> }
  | { do: "visible"; visible: boolean }
  | { do: "window"; window: Window }
  | { do: "retry" };

/** What the worker counts itself. */
export interface Meter {
  /** Of the last second. */
  bytesPerSecond: number;
  lost: number;
  reconnects: number;
}

export type FromWorker =
  | { say: "connection"; state: ConnectionState }
  | { say: "told"; told: Told }
  /** An epoch begins: what is not told again is gone. */
  | { say: "begin" }
  | { say: "update"; update: Update }
  | { say: "past"; level: number; columns: Column[] }
  | { say: "contrast"; contrast: [number, number] }
  | { say: "meter"; meter: Meter }
  | { say: "clear" };
