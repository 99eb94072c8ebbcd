/** The heatmap without a graphics card: the same picture, computed pixel by pixel. */
import type { Pyramid } from "../market/pyramid";
import { modulo } from "../market/ring";
import { GAP_CODE } from "../wire/frames";
import { HATCH, HATCH_PERIOD, HATCH_WIDTH, type Look, table, UNKNOWN } from "./colours";
import { axis, rowAxis, type HeatRenderer, type View } from "./renderer";

export function drawCanvas(canvas: HTMLCanvasElement, pyramid: Pyramid): HeatRenderer {
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) throw new Error("expected a canvas that can be drawn on");
  return new CanvasHeat(canvas, context, pyramid);
}

class CanvasHeat implements HeatRenderer {
  readonly kind = "canvas";

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly context: CanvasRenderingContext2D,
    private readonly pyramid: Pyramid,
  ) {}

  changed(): void {}
  cleared(): void {}
  dispose(): void {}

  draw(view: View, look: Look): void {
    const { width, height } = this.canvas;
    if (width === 0 || height === 0) return;
    const image = this.context.createImageData(width, height);
    paint(image.data, width, height, this.pyramid, view, look);
    this.context.putImageData(image, 0, 0);
  }
}

/** Fills RGBA pixels, top row first. */
export function paint(
  out: Uint8ClampedArray,
  width: number,
  height: number,
  pyramid: Pyramid,
  view: View,
  look: Look,
): void {
  const ring = pyramid.rings[view.level];
  const across = new Int32Array(2 * width);
  const down = new Int32Array(2 * height);
  axis(across, width, view.fromMs / ring.bucketMs, view.msPerPixel / ring.bucketMs, ring.bucketOrigin);
  rowAxis(down, height, view, ring.rowOrigin);
  const colours = table(look);
  const unknown = UNKNOWN[look.theme];
  const hatch = HATCH[look.theme];
  for (let x = 0; x < width; x++) {
    const first = across[2 * x] + ring.bucketOrigin;
    const count = across[2 * x + 1];
    for (let y = 0; y < height; y++) {
      let best = -1;
      let bestRow = 0;
      let ask = NaN;
      for (let bucket = first; bucket < first + count; bucket++) {
        const slot = ring.slot(bucket);
        if (ring.buckets[slot] !== bucket) continue;
        const base = ring.bases[slot];
        const end = base + ring.heights[slot];
        for (let nth = 0; nth < down[2 * y + 1]; nth++) {
          const row = down[2 * y] + ring.rowOrigin + nth;
          if (row < base || row >= end) continue;
          const code = ring.codes[slot * ring.rows + modulo(row, ring.rows)];
          if (code > best) {
            best = code;
            bestRow = row;
            ask = ring.asks[slot];
          }
        }
      }
      const at = 4 * (y * width + x);
      if (best < 0) out.set(unknown, at);
      else if (best === GAP_CODE) out.set(hatch[(x + y) % HATCH_PERIOD < HATCH_WIDTH ? 0 : 1], at);
      else {
        const side = bestRow >= askRow(ask, view) ? 1 : 0;
        const from = (side * 256 + best) * 4;
        out[at] = colours[from];
        out[at + 1] = colours[from + 1];
        out[at + 2] = colours[from + 2];
      }
      out[at + 3] = 255;
    }
  }
}

/** Row from which prices are asks. */
export function askRow(ask: number, view: { group: number }): number {
  return Number.isNaN(ask) ? Infinity : Math.ceil(ask / view.group);
}
