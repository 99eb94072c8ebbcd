/** How bright the cells are that can be seen: where contrast should begin and end. */
import type { Pyramid } from "../market/pyramid";
import { modulo } from "../market/ring";
import { GAP_CODE } from "../wire/frames";

export interface Window {
  level: number;
  fromBucket: number;
  toBucket: number;
  fromRow: number;
  toRow: number;
  /** Shares of the cells between which contrast shall run; null: as usual. */
  lowShare?: number | null;
  highShare?: number | null;
}

const LOWER = 0.15;
const LOWER_FAR = 0.45;
const UPPER = 0.995;
/** Cells that are enough to know. */
const ENOUGH = 120_000;

/** Codes between which contrast runs, null where too little is there.  Seen from far away, more of the
 * small sizes are left dark: they would be noise. */
export function contrastOf(pyramid: Pyramid, window: Window): [number, number] | null {
  const ring = pyramid.rings[window.level];
  const from = Math.max(window.fromBucket, ring.oldest, ring.newest - ring.slots + 1);
  const to = Math.min(window.toBucket, ring.newest + 1);
  const cells = (to - from) * (window.toRow - window.fromRow);
  const step = Math.max(1, Math.ceil(cells / ENOUGH));
  const bins = new Uint32Array(256);
  let count = 0;
  for (let bucket = from; bucket < to; bucket += step) {
    const slot = ring.slot(bucket);
    if (ring.buckets[slot] !== bucket) continue;
    const begin = Math.max(window.fromRow, ring.bases[slot]);
    const end = Math.min(window.toRow, ring.bases[slot] + ring.heights[slot]);
    for (let row = begin; row < end; row++) {
      const code = ring.codes[slot * ring.rows + modulo(row, ring.rows)];
      if (code > 0 && code < GAP_CODE) {
        bins[code]++;
        count++;
      }
    }
  }
  if (count < 50) return null;
  const lower = window.lowShare ?? (window.toRow - window.fromRow > 400 ? LOWER_FAR : LOWER);
  const low = quantile(bins, count * lower);
  return [low, Math.max(low + 12, quantile(bins, count * (window.highShare ?? UPPER)))];
}

function quantile(bins: Uint32Array, wanted: number): number {
  let sum = 0;
  for (let code = 0; code < 256; code++) {
    sum += bins[code];
    if (sum >= wanted) return code;
  }
  return 254;
}
