/** What every renderer of a heatmap can do, and how pixels meet columns and rows. */
import type { Look } from "./colours";

/** Buckets and rows that one pixel looks at, at most. */
export const TAPS = 8;

export interface View {
  level: number;
  /** Milliseconds since 1970 at the left edge. */
  fromMs: number;
  msPerPixel: number;
  /** Row at the upper edge, with its fraction; rows rise upwards. */
  topRow: number;
  rowsPerPixel: number;
  /** Price units a row. */
  group: number;
}

export interface HeatRenderer {
  readonly kind: "webgl2" | "canvas";
  /** A slot of a level was written. */
  changed(level: number, slot: number): void;
  /** All of it is void. */
  cleared(): void;
  /** Draws into all of the canvas. */
  draw(view: View, look: Look): void;
  dispose(): void;
}

/** For each pixel the first thing it looks at, counted from `origin`, and how many: exact, in doubles.
 * Where a thing is wider than a pixel, the pixel's middle decides. */
export function axis(out: Int32Array, pixels: number, from: number, perPixel: number, origin: number): void {
  for (let nth = 0; nth < pixels; nth++) {
    let first: number;
    let count = 1;
    if (perPixel <= 1) {
      first = Math.floor(from + (nth + 0.5) * perPixel);
    } else {
      first = Math.floor(from + nth * perPixel);
      count = Math.min(TAPS, Math.max(1, Math.floor(from + (nth + 1) * perPixel) - first));
    }
    out[2 * nth] = first - origin;
    out[2 * nth + 1] = count;
  }
}

/** The same downwards: rows fall as pixels rise. */
export function rowAxis(out: Int32Array, pixels: number, view: View, origin: number): void {
  const { topRow, rowsPerPixel } = view;
  for (let nth = 0; nth < pixels; nth++) {
    let first: number;
    let count = 1;
    if (rowsPerPixel <= 1) {
      first = Math.floor(topRow - (nth + 0.5) * rowsPerPixel);
    } else {
      first = Math.floor(topRow - (nth + 1) * rowsPerPixel);
      count = Math.min(TAPS, Math.max(1, Math.floor(topRow - nth * rowsPerPixel) - first));
    }
    out[2 * nth] = first - origin;
    out[2 * nth + 1] = count;
  }
}
