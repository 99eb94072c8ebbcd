/** The address of a view, so that it can be given to somebody else. */
import type { Camera } from "../heat/camera";
import type { Chart } from "../heat/chart";
import type { Feed } from "../market/feed";
import { type Box, type LiveState, useLive } from "../market/state";
import type { Opened } from "../wire/messages";
import type { OpenWish } from "../worker/protocol";
import { pathOf } from "./screens";

interface Address {
  exchange?: string;
  symbol?: string;
  group?: number;
  /** A replay from then on. */
  at?: string;
  /** A stretch of the recording: ISO times of its ends. */
  from?: string;
  to?: string;
  /** Rows of prices. */
  low?: number;
  high?: number;
  /** The stretch is played, not only shown. */
  clip?: boolean;
}

function time(text: string | null): string | undefined {
  const ms = text === null ? NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}

export function readAddress(search: string): Address {
  const found = new URLSearchParams(search);
  const whole = (name: string): number | undefined => {
    const value = Number(found.get(name) ?? NaN);
    return Number.isSafeInteger(value) ? value : undefined;
  };
  const group = whole("group") ?? 0;
  const [from, to, low, high] = [time(found.get("from")), time(found.get("to")), whole("low"), whole("high")];
  return {
    exchange: found.get("exchange") ?? undefined,
    symbol: found.get("symbol") ?? undefined,
    group: group > 0 ? group : undefined,
    at: time(found.get("at")) && found.get("at")!,
    ...(from && to && from < to ? { from, to } : {}),
    ...(from && to && from < to && found.get("clip") === "1" ? { clip: true } : {}),
    ...(low !== undefined && high !== undefined && low < high ? { low, high } : {}),
  };
}

/** `at`: where a replay begins. */
export function writeAddress(search: string, opened: Opened, at?: string): string {
  const next = new URLSearchParams(search);
  next.set("exchange", opened.exchange);
  next.set("symbol", opened.symbol);
  next.set("group", String(opened.group));
  // A stretch of time is said where somebody asks for it, and is not followed by what comes.
  for (const name of ["from", "to", "low", "high", "clip"]) next.delete(name);
  if (opened.source === "replay" && at) next.set("at", at);
  else next.delete("at");
  return `?${next}`;
}

/** An address as others open it, whatever screen lies over the page. */
export function linkTo(search: string): string {
  return new URL(pathOf(location.pathname, null) + search, location.href).href;
}

/** Of what is seen now: market, group, stretch of time and of prices. */
export function viewAddress(camera: Camera, opened: Opened): string {
  const next = new URLSearchParams(writeAddress("", opened));
  next.set("from", new Date(camera.fromMs).toISOString());
  next.set("to", new Date(camera.spot.rightMs).toISOString());
  next.set("low", String(Math.floor(camera.row(camera.height))));
  next.set("high", String(Math.ceil(camera.topRow)));
  return `?${next}`;
}

/** Of a chosen stretch, which is played where `clip`. */
export function boxAddress(box: Box, opened: Opened, clip: boolean): string {
  const next = new URLSearchParams(writeAddress("", opened));
  next.set("from", new Date(box.fromMs).toISOString());
  next.set("to", new Date(box.toMs).toISOString());
  next.set("low", String(box.low));
  next.set("high", String(box.high));
  if (clip) next.set("clip", "1");
  return `?${next}`;
}

/** Behind whatever else follows a first picture. */
const SETTLED_MS = 100;

/** Does something once the page's state is so; never, where something else is opened before, or this is refused. */
function once(feed: Feed, ready: (state: LiveState) => boolean, act: () => void): void {
  const { wish } = feed;
  const end = useLive.subscribe((state) => {
    const over = feed.wish !== wish || state.refused !== "";
    if (!over && !ready(state)) return;
    end();
    if (!over) act();
  });
}

/** Opens what is wished, where it isn't opened already, and does something once its first picture is there. */
export function whenShown(feed: Feed, wish: OpenWish, act: () => void): void {
  const before = wish === feed.wish ? null : useLive.getState().opened;
  if (wish !== feed.wish) feed.open(wish);
  const { wish: mine } = feed;
  once(feed, ({ opened, heardAt }) => opened !== null && opened !== before && heardAt > 0, () =>
    setTimeout(() => feed.wish === mine && act(), SETTLED_MS),
  );
}

/** Opens a market where a stretch begins, plays it, and stands at its end. */
export function playClip(feed: Feed, wish: OpenWish, toMs: number): void {
  whenShown(feed, wish, () => {
    feed.send({ op: "play", speed: 1 });
    once(feed, ({ clock }) => clock !== null && Date.parse(clock.t) >= toMs, () => feed.send({ op: "stop" }));
  });
}

/** Opens what an address says: a stretch of time as a replay that stands at its end. */
export function goTo(where: Address, feed: Feed, chart: () => Chart | null): void {
  const { exchange, symbol, group, from, to, low, high } = where;
  if (!exchange || !symbol) return;
  if (!from || !to) {
    feed.open({ source: where.at ? "replay" : "live", at: where.at, exchange, symbol, group });
    return;
  }
  if (where.clip) {
    playClip(feed, { source: "replay", exchange, symbol, group, at: from }, Date.parse(to));
    return;
  }
  whenShown(feed, { source: "replay", exchange, symbol, group, at: to }, () => {
    const shown = chart();
    if (!shown) return;
    const { camera } = shown;
    camera.remember();
    camera.followTime = false;
    camera.spot.rightMs = Date.parse(to);
    camera.spot.msPerPixel = Math.max(4, (Date.parse(to) - Date.parse(from)) / camera.width);
    if (low !== undefined && high !== undefined) {
      camera.followPrice = "off";
      camera.spot.row = (low + high) / 2;
      camera.spot.pixelsPerRow = camera.height / (high - low);
    }
    shown.moved();
  });
}
