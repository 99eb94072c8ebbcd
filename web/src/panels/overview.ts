/** The whole recording that this page has, small: price, gaps, and what is seen of it. */
import type { Camera } from "../heat/camera";
import type { Palette } from "../heat/palette";
import type { MarketData } from "../market/data";
import { isIceberg } from "../market/findings";
import type { Recording } from "../market/recording";
import { useLive } from "../market/state";
import type { GapTold } from "../worker/decoder";

/** What the picture reaches over: from, to in ms. */
export function reach(data: MarketData, width: number): { level: number; from: number; to: number } | null {
  const { finest } = data.pyramid;
  if (finest.newest < 0) return null;
  const to = (finest.newest + 1) * finest.bucketMs;
  const coarse = data.pyramid.rings[4];
  const from = Math.min(to - 120_000, coarse.newest < 0 ? to : coarse.oldest * coarse.bucketMs);
  return { level: data.pyramid.levelAt((to - from) / width), from, to };
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
  ticks(context, data, x, palette);
}

/** A whole recording: prices now and then, gaps, new books, findings, and where the replay stands. */
export function drawRecording(context: CanvasRenderingContext2D, width: number, height: number, recording: Recording, data: MarketData, palette: Palette): void {
  context.clearRect(0, 0, width, height);
  const [from, to] = [Date.parse(recording.first ?? ""), Date.parse(recording.last ?? "")];
  if (!(to > from)) return;
  const x = (ms: number): number => ((ms - from) / (to - from)) * width;
  const scale = 10 ** data.priceScale;
  const known = recording.prices.filter(({ bid, ask }) => bid !== null && ask !== null).map(({ t, bid, ask }): [number, number] => [Date.parse(t), (Number(bid) + Number(ask)) / 2]);
  known.push(...ringPrices(data, from, to, scale));
  known.sort(([a], [b]) => a - b);
  const [low, high] = [Math.min(...known.map(([, price]) => price)), Math.max(...known.map(([, price]) => price))];
  context.strokeStyle = palette.accent;
  context.lineWidth = 1.2;
  context.beginPath();
  known.forEach(([ms, price], nth) => {
    const y = height - 5 - ((price - low) / (high - low || 1)) * (height - 14);
    if (nth) context.lineTo(x(ms), y);
    else context.moveTo(x(ms), y);
  });
  context.stroke();
  const gaps = recording.gaps.map(({ from: begin, to: end }) => ({ from_us: Date.parse(begin) * 1000, to_us: end === null ? to * 1000 : Date.parse(end) * 1000, reason: "" }));
  hatch(context, width, height, { gaps, t_us: data.t_us }, x, palette);
  context.fillStyle = palette.dim;
  for (const { t } of recording.eras) context.fillRect(x(Date.parse(t)), height - 5, 1, 5);
  ticks(context, data, x, palette);
  context.fillStyle = palette.text;
  context.fillRect(Math.min(width - 2, Math.max(0, x(data.t_us / 1000) - 1)), 0, 2, height);
}

/** Middle prices that the page has itself, a few hundred at most. */
function ringPrices(data: MarketData, from: number, to: number, scale: number): [number, number][] {
  const ring = data.pyramid.rings[Math.max(data.pyramid.finestLevel, data.pyramid.levelAt((to - from) / 300))];
  const found: [number, number][] = [];
  for (let bucket = Math.max(0, ring.oldest); bucket <= ring.newest; bucket++) {
    const slot = ring.slot(bucket);
    const ms = bucket * ring.bucketMs;
    const price = (ring.bids[slot] + ring.asks[slot]) / 2 / scale;
    if (ring.buckets[slot] === bucket && !Number.isNaN(price) && ms >= from && ms <= to) found.push([ms, price]);
  }
  return found;
}

function ticks(context: CanvasRenderingContext2D, data: MarketData, x: (ms: number) => number, palette: Palette): void {
  for (const finding of data.findings) {
    context.fillStyle = isIceberg(finding) ? palette.iceberg : palette.spoof;
    context.fillRect(x(Date.parse(finding.ended)), 0, 2, 5);
  }
  const { alerts, opened } = useLive.getState();
  context.fillStyle = palette.large;
  for (const alert of alerts) {
    if (alert.symbol === opened?.symbol && alert.exchange === opened.exchange) context.fillRect(x(Date.parse(alert.t)), 6, 2, 4);
  }
}

function hatch(context: CanvasRenderingContext2D, width: number, height: number, { gaps, t_us }: { gaps: GapTold[]; t_us: number }, x: (ms: number) => number, palette: Palette): void {
  context.strokeStyle = palette.dim;
  context.lineWidth = 1;
  for (const gap of gaps) {
    const from = Math.max(0, x(gap.from_us / 1000));
    const to = Math.min(width, Math.max(from + 3, x((gap.to_us || t_us) / 1000)));
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
