/** The page's binary frames.  `tests/golden/page/` holds bytes that this and the server agree on. */
import { add, Cursor, type Whole } from "./numbers";

const VERSION = 1;
const HEADER_BYTES = 24;
export const KEY = 1;
export const GAP_CODE = 255;

export interface Header {
  stream: number;
  seq: number;
  /** Microseconds since 1970 of the server's clock; of a heat frame, when its bucket begins. */
  t_us: number;
  epoch: number;
  flags: number;
}

/** In price units; `null` where there is none. */
interface Prices {
  bid: Whole | null;
  ask: Whole | null;
  last: Whole | null;
}

export interface HeatKey extends Prices {
  type: "HeatKey";
  base_row: number;
  lod: number;
  codes: Uint8Array;
}

export interface HeatDelta extends Prices {
  type: "HeatDelta";
  /** Row index from the key's base, code, and so on. */
  changed: number[];
}

export interface Gap {
  type: "Gap";
  from_us: number;
  /** 0: it goes on. */
  to_us: number;
  reason: string;
}

export interface Level {
  price: Whole;
  size: Whole;
  orders: number;
}

export interface Ladder {
  type: "Ladder";
  bids: Level[];
  asks: Level[];
}

interface QueueLevel {
  side: number;
  price: Whole;
  orders: number;
  /** Front first. */
  shown: { handle: number; size: Whole }[];
}

export interface Queue {
  type: "Queue";
  levels: QueueLevel[];
}

interface Trade {
  price: Whole;
  size: Whole;
  /** 0 buys, 1 sells, 2 unknown. */
  taker_side: number;
  behind_us: number;
}

export interface Trades {
  type: "Trades";
  trades: Trade[];
}

export type Content = HeatKey | HeatDelta | Gap | Ladder | Queue | Trades;

export class FrameError extends Error {}

/** Throws FrameError with one sentence where the bytes are no frame. */
export function decode(frame: Uint8Array): { header: Header; content: Content } {
  if (frame.byteLength < HEADER_BYTES) {
    throw new FrameError(`expected a frame of ${HEADER_BYTES} bytes or more, found ${frame.byteLength}`);
  }
  const head = new Cursor(frame);
  const version = head.u8();
  const kind = head.u8();
  const read = READERS[kind];
  if (version !== VERSION || read === undefined) {
    throw new FrameError(`expected a frame of version ${VERSION}, found ${version}, type ${kind}`);
  }
  const stream = head.u16();
  const seq = head.u32();
  const t_us = safe(head.u64());
  const header = { stream, seq, t_us, epoch: head.u32(), flags: head.u32() };
  const body = frame.subarray(HEADER_BYTES);
  try {
    return { header, content: read(new Cursor(body), body) };
  } catch (error) {
    if (error instanceof FrameError) throw error;
    throw new FrameError(`a frame of type ${kind} is cut or wrong: ${(error as Error).message}`);
  }
}

function safe(value: Whole | null): number {
  if (typeof value !== "number") throw new FrameError(`expected a number below 2^53, found ${value}`);
  return value;
}

function prices(body: Cursor): Prices {
  return { bid: body.i64(), ask: body.i64(), last: body.i64() };
}

function heatKey(body: Cursor, bytes: Uint8Array): HeatKey {
  const base_row = safe(body.i64());
  const rows = body.u32();
  const lod = body.u8();
  body.at += 3;
  const known = prices(body);
  if (body.left !== rows) throw new FrameError(`expected ${rows} codes, found ${body.left}`);
  return { type: "HeatKey", base_row, lod, ...known, codes: body.bytes(rows, bytes) };
}

function heatDelta(body: Cursor): HeatDelta {
  const known = prices(body);
  const changed: number[] = [];
  let row = -1;
  while (body.left > 0) {
    row += body.count();
    changed.push(row, body.u8());
  }
  return { type: "HeatDelta", ...known, changed };
}

function gap(body: Cursor, bytes: Uint8Array): Gap {
  const from_us = safe(body.u64());
  const to_us = safe(body.u64());
  const length = body.u16();
  if (body.left !== length) throw new FrameError(`expected a reason of ${length} bytes, found ${body.left}`);
  const reason = new TextDecoder("utf-8", { fatal: true }).decode(body.bytes(length, bytes));
  return { type: "Gap", from_us, to_us, reason };
}

function levels(body: Cursor): Level[] {
  const found: Level[] = [];
  let price: Whole = 0;
  for (let left = body.count(); left > 0; left--) {
    price = add(price, body.zigzag());
    found.push({ price, size: body.varint(), orders: body.count() });
  }
  return found;
}

function ladder(body: Cursor): Ladder {
  return { type: "Ladder", bids: levels(body), asks: levels(body) };
}

function queue(body: Cursor): Queue {
  const found: QueueLevel[] = [];
  let price: Whole = 0;
  for (let left = body.count(); left > 0; left--) {
    const side = body.u8();
    price = add(price, body.zigzag());
    const level: QueueLevel = { side, price, orders: body.count(), shown: [] };
    for (let shown = body.count(); shown > 0; shown--) {
      level.shown.push({ handle: body.count(), size: body.varint() });
    }
    found.push(level);
  }
  return { type: "Queue", levels: found };
}

function trades(body: Cursor): Trades {
  const found: Trade[] = [];
  let price: Whole = 0;
  for (let left = body.count(); left > 0; left--) {
    price = add(price, body.zigzag());
    found.push({ price, size: body.varint(), taker_side: body.u8(), behind_us: body.count() });
  }
  return { type: "Trades", trades: found };
}

const READERS: Record<number, (body: Cursor, bytes: Uint8Array) => Content> = {
  1: heatKey,
  2: heatDelta,
  3: gap,
  4: ladder,
  5: queue,
  6: trades,
};
