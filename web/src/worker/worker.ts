/// <reference lib="webworker" />
/** Socket, decoding and levels of detail, away from the page's thread. */
import { ingest } from "../market/ingest";
import { LEVELS_MS, Pyramid } from "../market/pyramid";
import { decode } from "../wire/frames";
import type { Opened, Told } from "../wire/messages";
import { fetchTile, Past, tilesBefore } from "../wire/tiles";
import { Connection } from "./connection";
import { Decoder, LEVEL_OF_LOD } from "./decoder";
import { contrastOf, type Window } from "./histogram";
import type { FromWorker, Meter, OpenWish, ToWorker } from "./protocol";

declare const self: DedicatedWorkerGlobalScope;

const STREAM = 1;
/** What goes for all replayed streams and names none. */
const OF_CLOCK = new Set(["play", "stop", "seek"]);
const ACK_MS = 250;
const CONTRAST_MS = 500;
/** Updates are given to the page at most so often. */
const FLUSH_MS = 40;
/** Tiles; a server reads as many at a time. */
const ASKED_AT_ONCE = 3;

const pyramid = new Pyramid();
let decoder = new Decoder();
let connection: Connection | null = null;
let wish: OpenWish | null = null;
/** The request that a replay be played, until it is to stand. */
let played: Record<string, unknown> | null = null;
/** The connection was lost: once its replay is opened again it is played on. */
let again = false;
let shown = "";
let opened: Opened | null = null;
let wantsPast = false;
let asking = new AbortController();
/** Where tiles are asked for. */
let tiles = "";
let visible = true;
let window: Window | null = null;
let acknowledged = -1;
let flushing: ReturnType<typeof setTimeout> | undefined;
const meter: Meter = { bytesPerSecond: 0, lost: 0, reconnects: -1 };
let secondBytes = 0;

function say(message: FromWorker, transfer: Transferable[] = []): void {
  self.postMessage(message, transfer);
}

function open(): void {
  if (!wish) return;
  decoder.follows.reset();
  acknowledged = -1;
  connection?.send({ op: "open", stream: STREAM, ...wish });
  if (!visible) connection?.send({ op: "pause", stream: STREAM });
}

function heard(data: string | ArrayBuffer): void {
  if (typeof data === "string") {
    secondBytes += data.length;
    const told = JSON.parse(data) as Told;
    if (told.op === "alive") return;
    // A connection that was lost goes on where the replay stood.
    if (told.op === "clock" && wish?.source === "replay") {
      wish = { ...wish, at: told.t };
      if (told.ended) played = null;
    }
    if (told.op === "opened") {
      const anew = told.source === "replay" ? told.epoch : "";
      began(`${told.exchange} ${told.symbol} ${told.source} ${told.group} ${told.min_size} ${told.code_unit} ${told.price_scale} ${told.size_scale} ${anew}`);
      opened = told;
      decoder.scale = told;
      wantsPast = true;
      if (again && played) connection?.send(played);
      again = false;
    }
    say({ say: "told", told });
    return;
  }
  secondBytes += data.byteLength;
  try {
    const { header, content } = decode(new Uint8Array(data));
    if (header.stream !== STREAM) return;
    const outcome = decoder.take(header, content);
    // At once: large orders of the epoch are told right behind its first frame.
    if (outcome === "begun") say({ say: "begin" });
    if (outcome === "ask key") connection?.send({ op: "key", stream: STREAM });
  } catch (error) {
    console.warn(String(error));
    connection?.send({ op: "key", stream: STREAM });
  }
  flushing ??= setTimeout(flush, FLUSH_MS);
}

/** Another picture begins: what stands on another scale of prices or sizes is void. */
function began(name: string): void {
  if (name === shown) return;
  shown = name;
  asking.abort();
  pyramid.clear();
  const { follows } = decoder;
  decoder = new Decoder();
  Object.assign(decoder.follows, follows);
  say({ say: "clear" });
}

function flush(): void {
  flushing = undefined;
  const update = decoder.flush();
  if (!update) return;
  ingest(pyramid, update);
  const newest = update.columns.at(-1);
  if (wantsPast && newest) void past(newest);
  say({ say: "update", update });
}

/** Fills in from the recording what lies before the first column; ends what is asked for an earlier picture. */
async function past(newest: { bucket: number; base: number; level: number }): Promise<void> {
  wantsPast = false;
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const told = opened;
  if (!told) return;
  const untilMs = newest.bucket * LEVELS_MS[newest.level];
  const wanted = tilesBefore(untilMs);
  // A level that is played is filled in from its own tiles, and what is finer from none.
  const due = wanted.filter(({ lod }) => LEVEL_OF_LOD[lod] >= newest.level);
  const pasts = new Map(due.map(({ lod }) => [lod, new Past()]));
  const ask = async (): Promise<void> => {
    for (let next = due.shift(); next && !signal.aborted; next = due.shift()) {
      const { lod, index } = next;
      const columns = await fetchTile(tiles, told, lod, index, newest.base, signal).catch(() => []);
      if (signal.aborted) return;
      const level = LEVEL_OF_LOD[lod];
      const end = Math.floor(untilMs / LEVELS_MS[level]);
      const before = pasts.get(lod)!.take(columns, end, end);
      for (const column of before) pyramid.past(level, column);
      say({ say: "past", level, columns: before });
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask));
}

function contrast(): void {
  if (!window || window.level >= LEVELS_MS.length) return;
  const found = contrastOf(pyramid, window);
  if (found) say({ say: "contrast", contrast: found });
}

setInterval(() => {
  const { seq } = decoder.follows;
  if (seq >= 0 && seq !== acknowledged) {
    acknowledged = seq;
    connection?.send({ op: "ack", stream: STREAM, seq });
  }
}, ACK_MS);
setInterval(contrast, CONTRAST_MS);
setInterval(() => {
  meter.bytesPerSecond = secondBytes;
  meter.lost = decoder.follows.lost;
  secondBytes = 0;
  say({ say: "meter", meter: { ...meter } });
}, 1_000);

self.onmessage = (event: MessageEvent<ToWorker>) => {
  const asked = event.data;
  switch (asked.do) {
    case "connect":
      connection?.close();
      tiles = asked.url.replace(/^ws/, "http").replace(/page\/ws$/, "heatmap/");
      connection = new Connection(asked.url, heard, (state) => {
        if (state === "open") {
          meter.reconnects++;
          again = true;
          open();
        }
        say({ say: "connection", state });
      });
      break;
    case "open":
      wish = asked.wish;
      played = null;
      again = false;
      open();
      break;
    case "send":
      if (asked.request.op === "play") played = asked.request;
      if (asked.request.op === "stop") played = null;
      connection?.send(OF_CLOCK.has(String(asked.request.op)) ? asked.request : { stream: STREAM, ...asked.request });
      break;
    case "visible":
      // What came meanwhile is filled in from the recording.
      wantsPast ||= asked.visible && !visible;
      visible = asked.visible;
      connection?.send({ op: visible ? "resume" : "pause", stream: STREAM });
      break;
    case "window":
      window = asked.window;
      break;
    case "retry":
      connection?.retry();
  }
};
