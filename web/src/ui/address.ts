/** The address of a view, so that it can be given to somebody else. */
import type { Camera } from "../heat/camera";
import type { Chart } from "../heat/chart";
import type { Feed } from "../market/feed";
import { type Box, useLive } from "../market/state";
import type { Opened } from "../wire/messages";
import type { OpenWish } from "../worker/protocol";

export interface Address {
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

export function writeAddress(search: string, opened: Opened): string {
  const next = new URLSearchParams(search);
  next.set("exchange", opened.exchange);
  next.set("symbol", opened.symbol);
  next.set("group", String(opened.group));
  // A stretch of time is said where somebody asks for it, and is not followed by what comes.
  for (const name of ["from", "to", "low", "high", "clip"]) next.delete(name);
  if (opened.source === "live") next.delete("at");
  return `?${next}`;
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

/** Opens a market where a stretch begins, plays it, and stands at its end. */
export function playClip(feed: Feed, wish: OpenWish, toMs: number): void {
  const { opened: before, clock: stale } = useLive.getState();
  const { at } = wish;
  feed.open(wish);
  let playing = false;
  const end = useLive.subscribe(({ opened, clock }) => {
    if (feed.wish?.source !== "replay" || feed.wish.at !== at) return end();
    if (opened === before || opened?.source !== "replay" || !clock || clock === stale) return;
    if (!playing) {
      playing = true;
      feed.send({ op: "play", speed: 1 });
    } else if (Date.parse(clock.t) >= toMs) {
      end();
      feed.send({ op: "stop" });
    }
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
  const before = useLive.getState().opened;
  if (where.clip) {
    playClip(feed, { source: "replay", exchange, symbol, group, at: from }, Date.parse(to));
    return;
  }
  feed.open({ source: "replay", exchange, symbol, group, at: to });
  const end = useLive.subscribe((state) => {
    if (state.opened === before || state.opened?.source !== "replay" || state.heardAt === 0) return;
    end();
    // Behind whatever else follows the first picture.
    setTimeout(() => {
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
    }, 100);
  });
}
