/** The whole recording that this page has, small: price, gaps, and what is seen of it. */
import type { Camera } from "../heat/camera";
import type { Palette } from "../heat/palette";
import type { MarketData } from "../market/data";
import { isIceberg } from "../market/findings";
import { Pyramid } from "../market/pyramid";

/** What the picture reaches over: from, to in ms. */
export function reach(data: MarketData, width: number): { level: number; from: number; to: number } | null {
  const { base } = data.pyramid;
  if (base.newest < 0) return null;
  const to = (base.newest + 1) * base.bucketMs;
  const coarse = data.pyramid.rings[4];
  const from = Math.min(to - 120_000, coarse.newest < 0 ? to : coarse.oldest * coarse.bucketMs);
  return { level: Pyramid.levelFor((to - from) / width), from, to };
}

export function drawOverview(context: CanvasRenderingContext2D, width: number, height: number, data: MarketData, camera: Camera, palette: Palette): void {
  context.clearRect(0, 0, width, height);
  const span = reach(data, width);
  if (!span) return;
  const ring = data.pyramid.rings[span.level];
  const x = (ms: number): number => ((ms - span.from) / (span.to - span.from)) * width;
  const first = Math.max(ring.oldest, Math.floor(span.from / ring.bucketMs));
  const prices: [number, number][] = [];
  for (let bucket = first; bucket <= ring.newest; bucket++) {
    const slot = ring.slot(bucket);
    if (ring.buckets[slot] !== bucket) continue;
    const price = Number.isNaN(ring.bids[slot]) ? NaN : (ring.bids[slot] + ring.asks[slot]) / 2;
    prices.push([x(bucket * ring.bucketMs), price]);
  }
  const known = prices.map(([, price]) => price).filter((price) => !Number.isNaN(price));
  context.fillStyle = palette.accent;
  context.globalAlpha = 0.14;
  const from = Math.max(0, x(camera.fromMs));
  context.fillRect(from, 0, Math.max(2, Math.min(width, x(camera.spot.rightMs)) - from), height);
  context.globalAlpha = 1;
  if (known.length > 1) {
    const low = Math.min(...known);
    const high = Math.max(...known);
    context.strokeStyle = palette.accent;
    context.lineWidth = 1.2;
    context.beginPath();
    let broken = true;
    for (const [at, price] of prices) {
      if (Number.isNaN(price)) {
        broken = true;
        continue;
      }
      const y = height - 5 - ((price - low) / (high - low || 1)) * (height - 14);
      if (broken) context.moveTo(at, y);
      else context.lineTo(at, y);
      broken = false;
    }
    context.stroke();
  }
  hatch(context, width, height, data, x, palette);
  for (const finding of data.findings) {
    context.fillStyle = isIceberg(finding) ? palette.iceberg : palette.spoof;
    context.fillRect(x(Date.parse(finding.ended)), 0, 2, 5);
  }
}

function hatch(context: CanvasRenderingContext2D, width: number, height: number, data: MarketData, x: (ms: number) => number, palette: Palette): void {
  context.strokeStyle = palette.dim;
  context.lineWidth = 1;
  for (const gap of data.gaps) {
    const from = Math.max(0, x(gap.from_us / 1000));
    const to = Math.min(width, Math.max(from + 3, x((gap.to_us || data.t_us) / 1000)));
    if (to < 0 || from > width) continue;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, height);
    context.clip();
    context.beginPath();
    for (let at = from - height; at < to; at += 5) {
      context.moveTo(at, height);
      context.lineTo(at + height, 0);
    }
    context.stroke();
    context.restore();
  }
}
