/** The small pictures: depth, volume taken, imbalance. */
import type { Camera } from "../heat/camera";
import { line } from "../heat/marks";
import { FONT, type Palette } from "../heat/palette";
import type { MarketData } from "../market/data";
import { exact, short } from "../market/numbers";
import type { Series } from "../market/series";
import type { LadderLevel } from "../worker/decoder";

interface Place {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  data: MarketData;
  palette: Palette;
}

/** Sums of what rests, away from the middle on both sides. */
export function drawDepth(place: Place, log: boolean, pointer: number | null): void {
  const { context, width, height, data, palette } = place;
  context.clearRect(0, 0, width, height);
  const { bids, asks } = data.ladder;
  if (!bids.length || !asks.length) return;
  const middle = (bids[0].price + asks[0].price) / 2;
  const reach = Math.min(middle - bids.at(-1)!.price, asks.at(-1)!.price - middle);
  const shown = (levels: LadderLevel[]): LadderLevel[] => levels.filter((level) => Math.abs(level.price - middle) <= reach);
  const sides = [shown(bids), shown(asks)].map(sums);
  const most = Math.max(1, ...sides.map((points) => points.at(-1)?.sum ?? 0));
  const least = Math.max(1, Math.min(...sides.map((points) => points[0]?.sum ?? 1)));
  const bottom = height - 18;
  const y = (sum: number): number => {
    const share = log ? Math.log(Math.max(1, sum / least)) / Math.log(Math.max(2, most / least)) : sum / most;
    return bottom - share * (bottom - 16);
  };
  const x = (price: number): number => width / 2 + ((price - middle) / reach) * (width / 2);
  context.font = FONT;
  sides.forEach((points, side) => {
    const colour = side === 0 ? palette.bid : palette.ask;
    const path = new Path2D();
    path.moveTo(x(middle), bottom);
    let level = bottom;
    for (const point of points) {
      path.lineTo(x(point.price), level);
      level = y(point.sum);
      path.lineTo(x(point.price), level);
    }
    path.lineTo(side === 0 ? 0 : width, level);
    path.lineTo(side === 0 ? 0 : width, bottom);
    context.fillStyle = colour;
    context.globalAlpha = 0.18;
    context.fill(path);
    context.globalAlpha = 1;
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.stroke(path);
  });
  context.textBaseline = "middle";
  context.fillStyle = palette.dim;
  context.textAlign = "left";
  context.fillText(exact(Math.round(middle - reach), data.priceScale, 2), 6, height - 9);
  context.textAlign = "right";
  context.fillText(exact(Math.round(middle + reach), data.priceScale, 2), width - 6, height - 9);
  context.textAlign = "center";
  context.fillText(exact(Math.round(middle), data.priceScale, 2), width / 2, height - 9);
  context.textAlign = "right";
  context.fillText(short(most / 10 ** data.sizeScale), width - 6, 10);
  if (pointer !== null) told(place, sides, pointer, middle, reach, y);
}

/** Orders of one price that are told one by one. */
const ORDERS_TOLD = 4;

interface Point {
  price: number;
  sum: number;
  size: number;
  orders: number;
}

function sums(levels: LadderLevel[]): Point[] {
  let sum = 0;
  return levels.map((level) => {
    sum += Number(level.size);
    return { price: level.price, sum, size: Number(level.size), orders: level.orders };
  });
}

function told(place: Place, sides: Point[][], pointer: number, middle: number, reach: number, y: (sum: number) => number): void {
  const { context, width, height, data, palette } = place;
  const price = middle + ((pointer - width / 2) / (width / 2)) * reach;
  const points = sides[price < middle ? 0 : 1];
  const reached = points.filter((point) => Math.abs(point.price - middle) <= Math.abs(price - middle)).at(-1);
  context.strokeStyle = palette.dim;
  context.lineWidth = 1;
  line(context, pointer, 0, pointer, height - 18);
  if (!reached) return;
  const text = `${exact(reached.price, data.priceScale)}  sum ${short(reached.sum / 10 ** data.sizeScale)}  here ${short(reached.size / 10 ** data.sizeScale)} in ${reached.orders}`;
  const left = pointer > width / 2;
  context.fillStyle = palette.text;
  context.textAlign = left ? "right" : "left";
  context.fillText(text, pointer + (left ? -8 : 8), 26);
  context.fillStyle = palette.dim;
  const side = price < middle ? 0 : 1;
  // The step of that price, order by order.
  const at = width / 2 + ((reached.price - middle) / reach) * (width / 2);
  let sum = reached.sum - reached.size;
  for (const { size } of data.queue.get(`${side}:${reached.price}`)?.shown ?? []) {
    sum += Number(size);
    line(context, at - 5, y(sum), at + 5, y(sum));
  }
  ordersOf(data, side, reached.price).forEach((line, nth) => context.fillText(line, pointer + (left ? -8 : 8), 42 + nth * 15));
}

/** Orders of a price one by one, front first, as many as fit; what is behind them in one line. */
export function ordersOf(data: MarketData, side: 0 | 1, price: number): string[] {
  const queue = data.queue.get(`${side}:${price}`);
  if (!queue) return [];
  const told = queue.shown.slice(0, ORDERS_TOLD).map(({ size }, nth) => `${nth + 1}. ${exact(size, data.sizeScale)}`);
  const more = queue.orders - told.length;
  return more > 0 ? [...told, `+${more}`] : told;
}

/** A series below the chart, on its time axis.  `symmetric`: from −most to most. */
export function drawSeries(place: Place, camera: Camera, points: Series, scale: (value: number) => string, fixed?: number): void {
  const { context, width, height, palette } = place;
  context.clearRect(0, 0, width, height);
  const seen = points.within(camera.fromMs - 2_000, camera.spot.rightMs);
  if (!seen.length) return;
  const values = seen.map((point) => point.value);
  const low = fixed === undefined ? Math.min(...values, 0) : -fixed;
  const high = fixed ?? Math.max(...values, 0);
  const y = (value: number): number => height - 8 - ((value - low) / (high - low || 1)) * (height - 16);
  context.strokeStyle = palette.line;
  context.lineWidth = 1;
  line(context, 0, Math.round(y(0)) + 0.5, camera.width, Math.round(y(0)) + 0.5);
  const path = new Path2D();
  let before = NaN;
  for (const point of seen) {
    const x = camera.x(point.ms + 1_000);
    if (point.ms - before > 5_000 || Number.isNaN(before)) path.moveTo(x, y(point.value));
    else path.lineTo(x, y(point.value));
    before = point.ms;
  }
  context.strokeStyle = palette.accent;
  context.lineWidth = 1.5;
  context.stroke(path);
  context.font = FONT;
  context.fillStyle = palette.dim;
  context.textAlign = "left";
  context.textBaseline = "middle";
  const at = camera.width + 8;
  context.fillText(scale(high), at, 10);
  context.fillText(scale(low), at, height - 10);
  context.fillStyle = palette.text;
  const newest = seen.at(-1)!.value;
  const where = Math.min(height - 24, Math.max(24, y(newest)));
  context.fillText(scale(newest), at, where);
}
