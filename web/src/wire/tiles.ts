/** Columns out of the recording, 512 at a time, as caches keep them. */
import { ROWS } from "../market/pyramid";
import type { Column } from "../market/ring";
import { GAP_CODE } from "./frames";
import type { Opened } from "./messages";
import { Cursor } from "./numbers";
import { answered, marketPath } from "./server";

const TILE_COLUMNS = 512;
const BUCKETS_MS = [100, 1_000, 5_000, 60_000];
const HEAD_BYTES = 48;

/** What a page asks for when it begins, in this order: what its first picture shows, the last ten minutes
 * roughly, the rest of some minutes finely, the last hour. */
export function tilesBefore(ms: number): { lod: number; index: number }[] {
  const wanted: [number, number][] = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 2], [2, 0]];
  return wanted.map(([lod, back]) => ({ lod, index: Math.floor(ms / BUCKETS_MS[lod] / TILE_COLUMNS) - back }));
}

export async function fetchTile(root: string, opened: Opened, lod: number, index: number, base: number, signal: AbortSignal): Promise<PastColumn[]> {
  const market = marketPath(opened.exchange, opened.symbol);
  const least = opened.min_size ? `&min_size=${opened.min_size / 10 ** opened.size_scale}` : "";
  const answer = await answered(`${root}${market}/tile?lod=${lod}&group=${opened.group}&index=${index}${least}`, { signal });
  return readTile(new Uint8Array(await answer.arrayBuffer()), index, opened, base);
}

/** A column of a tile; one that nothing is known of lies in a gap, or beyond what was recorded. */
export interface PastColumn extends Column {
  known: boolean;
}

/** Columns of a tile cut to a window of rows from `base`, on the scale of sizes of `opened`.  Of rows that the tile
 * does not reach nothing is known: they are left out. */
export function readTile(bytes: Uint8Array, index: number, opened: { code_unit: number }, base: number): PastColumn[] {
  const head = new Cursor(bytes);
  if (head.u8() !== 1) throw new RangeError("expected a tile of version 1");
  head.u8();
  const count = head.u16();
  const rows = head.u32();
  const low = Number(head.i64());
  head.at = 40;
  const unit = Number(head.i64());
  head.at = 32;
  head.f32();
  const shift = Math.round(head.f32() * Math.log2(unit / opened.code_unit));
  if (bytes.length !== HEAD_BYTES + count * (24 + rows)) throw new RangeError("expected another size of tile");
  const prices = new DataView(bytes.buffer, bytes.byteOffset + HEAD_BYTES);
  const price = (kind: number, nth: number): number => {
    const value = prices.getBigInt64((kind * count + nth) * 8, true);
    return value === -(2n ** 63n) ? NaN : Number(value);
  };
  const from = Math.max(base, low);
  const height = Math.max(0, Math.min(base + ROWS, low + rows) - from);
  const columns: PastColumn[] = [];
  for (let nth = 0; nth < count; nth++) {
    const at = HEAD_BYTES + count * 24 + nth * rows;
    const known = rows > 0 && bytes[at] !== GAP_CODE;
    const codes = known ? shifted(bytes.subarray(at + from - low, at + from - low + height), shift) : new Uint8Array(ROWS).fill(GAP_CODE);
    columns.push({ known, bucket: index * TILE_COLUMNS + nth, base: known ? from : base, codes, bid: price(0, nth), ask: price(1, nth), last: price(2, nth) });
  }
  return columns;
}

/** Codes on another scale of sizes. */
function shifted(codes: Uint8Array, shift: number): Uint8Array {
  return codes.map((code) => (code === 0 || code === GAP_CODE ? code : Math.min(GAP_CODE - 1, Math.max(1, code + shift))));
}

/** Tiles of one level put together: what nothing is known of lies in a gap where something older is known. */
export class Past {
  private unknown: PastColumn[] = [];
  private oldest = Infinity;

  /** Columns that may be drawn now, of this tile and of those before, up to bucket `end`; unknown ones to before
   * bucket `live`, from which on the page sees for itself. */
  take(tile: PastColumn[], end: number, live: number): Column[] {
    const known = tile.filter(({ known, bucket }) => known && bucket <= end);
    this.oldest = Math.min(this.oldest, known[0]?.bucket ?? Infinity);
    this.unknown.push(...tile.filter(({ known, bucket }) => !known && bucket < live));
    const gaps = this.unknown.filter(({ bucket }) => bucket > this.oldest);
    this.unknown = this.unknown.filter(({ bucket }) => bucket < this.oldest);
    return [...known, ...gaps];
  }
}
