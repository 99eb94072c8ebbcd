/** Columns of size codes in a ring: one row of memory a time bucket, laid out as the texture is. */
import { GAP_CODE } from "../wire/frames";

export const NOTHING_KNOWN = -1;

export interface Column {
  /** Number of the bucket since 1970. */
  bucket: number;
  /** Row of `codes[0]`. */
  base: number;
  /** Of as many rows as are known, at most those of a ring; all of them GAP_CODE where nothing is. */
  codes: Uint8Array;
  /** In price units; NaN where there is none. */
  bid: number;
  ask: number;
  last: number;
}

/** `a mod b` that is never negative; exact for whole numbers below 2^53. */
export function modulo(a: number, b: number): number {
  return ((a % b) + b) % b;
}

export class Ring {
  readonly codes: Uint8Array;
  /** Bucket of each slot, −1: empty. */
  readonly buckets: Float64Array;
  readonly bases: Float64Array;
  /** Rows from the base on that each slot knows of. */
  readonly heights: Int32Array;
  /** Slots that have a part in a gap. */
  readonly hatched: Uint8Array;
  readonly bids: Float64Array;
  readonly asks: Float64Array;
  readonly lasts: Float64Array;
  newest = -1;
  oldest = -1;
  /** A bucket and a row near those that are held: what a texture's 32 bits count from. */
  bucketOrigin = 0;
  rowOrigin = 0;

  constructor(
    readonly bucketMs: number,
    readonly slots: number,
    readonly rows: number,
  ) {
    this.codes = new Uint8Array(slots * rows);
    this.buckets = new Float64Array(slots).fill(-1);
    this.bases = new Float64Array(slots);
    this.heights = new Int32Array(slots);
    this.hatched = new Uint8Array(slots);
    this.bids = new Float64Array(slots).fill(NaN);
    this.asks = new Float64Array(slots).fill(NaN);
    this.lasts = new Float64Array(slots).fill(NaN);
  }

  slot(bucket: number): number {
    return modulo(bucket, this.slots);
  }

  has(bucket: number): boolean {
    return this.buckets[this.slot(bucket)] === bucket;
  }

  /** Whether a bucket lies in a gap, or has a part in one. */
  isHatched(bucket: number): boolean {
    return this.has(bucket) && this.hatched[this.slot(bucket)] === 1;
  }

  /** What is held of a bucket, which `has` says there is. */
  column(bucket: number): Column {
    const slot = this.slot(bucket);
    const base = this.bases[slot];
    const codes = new Uint8Array(this.heights[slot]);
    for (let nth = 0; nth < codes.length; nth++) codes[nth] = this.sample(bucket, base + nth);
    return { bucket, base, codes, bid: this.bids[slot], ask: this.asks[slot], last: this.lasts[slot] };
  }

  /** As if nothing had ever been put there. */
  forget(bucket: number): void {
    if (this.has(bucket)) this.buckets[this.slot(bucket)] = -1;
  }

  clear(): void {
    this.buckets.fill(-1);
    this.newest = this.oldest = -1;
  }

  /** The slot it was written to, −1 where a newer one stands there. */
  put(column: Column): number {
    const slot = this.claim(column);
    if (slot < 0) return slot;
    this.write(slot, column, column.base, column.base + column.codes.length, false);
    this.bases[slot] = column.base;
    this.heights[slot] = column.codes.length;
    this.hatched[slot] = Number(isGap(column));
    this.bids[slot] = column.bid;
    this.asks[slot] = column.ask;
    this.lasts[slot] = column.last;
    return slot;
  }

  /** Joins a column of a finer ring: the largest of each row, the widest spread.  Rows that one of both knows stand,
   * as far as they fit beside those of the new one; where rows between both would be known to none, the new one's. */
  merge(column: Column): number {
    const slot = this.slot(column.bucket);
    if (this.buckets[slot] !== column.bucket) return this.put(column);
    if (column.codes.length) this.join(slot, column);
    this.hatched[slot] |= Number(isGap(column));
    this.bids[slot] = lesser(this.bids[slot], column.bid);
    this.asks[slot] = -lesser(-this.asks[slot], -column.ask);
    this.lasts[slot] = column.last;
    return slot;
  }

  private join(slot: number, column: Column): void {
    const { base } = column;
    const before = this.bases[slot];
    const end = base + column.codes.length;
    const beforeEnd = before + this.heights[slot];
    // What both know is compared, what only the new one knows is taken.
    const low = Math.min(Math.max(base, before), end);
    const high = Math.max(Math.min(end, beforeEnd), low);
    this.write(slot, column, base, low, false);
    this.write(slot, column, low, high, true);
    this.write(slot, column, high, end, false);
    const apart = base > beforeEnd || end < before;
    const from = apart ? base : Math.max(Math.min(base, before), end - this.rows);
    const to = apart ? end : Math.min(Math.max(end, beforeEnd), from + this.rows);
    this.bases[slot] = from;
    this.heights[slot] = to - from;
  }

  /** Rows `from` to before `to` of a column, over what stands there, or where they are `larger` alone. */
  private write(slot: number, { base, codes }: Column, from: number, to: number, larger: boolean): void {
    const { rows } = this;
    const mine = this.codes;
    while (from < to) {
      const first = modulo(from, rows);
      const count = Math.min(to - from, rows - first);
      const place = slot * rows + first;
      const nth = from - base;
      if (larger) {
        for (let at = 0; at < count; at++) if (codes[nth + at] > mine[place + at]) mine[place + at] = codes[nth + at];
      } else mine.set(codes.subarray(nth, nth + count), place);
      from += count;
    }
  }

  /** 0 to 255, or NOTHING_KNOWN. */
  sample(bucket: number, row: number): number {
    const slot = this.slot(bucket);
    if (this.buckets[slot] !== bucket) return NOTHING_KNOWN;
    const base = this.bases[slot];
    if (row < base || row >= base + this.heights[slot]) return NOTHING_KNOWN;
    return this.codes[slot * this.rows + modulo(row, this.rows)];
  }

  private claim(column: Column): number {
    const slot = this.slot(column.bucket);
    if (this.buckets[slot] > column.bucket) return -1;
    if (this.newest < 0) {
      this.bucketOrigin = Math.floor(column.bucket / this.slots) * this.slots;
      this.rowOrigin = Math.floor(column.base / this.rows) * this.rows;
      this.oldest = column.bucket;
    }
    this.buckets[slot] = column.bucket;
    this.newest = Math.max(this.newest, column.bucket);
    this.oldest = Math.max(Math.min(this.oldest, column.bucket), this.newest - this.slots + 1);
    return slot;
  }
}

/** Nothing is known of the whole of it. */
function isGap({ codes }: Column): boolean {
  return codes.length > 0 && codes[0] === GAP_CODE;
}

function lesser(a: number, b: number): number {
  if (Number.isNaN(a)) return b;
  return b < a ? b : a;
}
