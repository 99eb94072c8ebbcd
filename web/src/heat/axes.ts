/** Axes, the current book beside them, the crosshair. */
import { clock, digitsOf, exact } from "../market/numbers";
import type { LadderLevel } from "../worker/decoder";
import { line, rowOf, type Place } from "./marks";
import { FONT } from "./palette";

export const PRICE_WIDTH = 78;
export const COB_WIDTH = 92;
export const TIME_HEIGHT = 22;

type Context = CanvasRenderingContext2D;

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400].map((s) => s * 1000);

/** The least step of a list that leaves so many pixels between labels. */
function timeStep(msPerPixel: number, pixels: number): number {
  return TIME_STEPS.find((step) => step / msPerPixel >= pixels) ?? TIME_STEPS.at(-1)!;
}

/** 1, 2, 5, 10, … price units between labels. */
function priceStep(unitsPerPixel: number, pixels: number): number {
  const least = Math.max(1, unitsPerPixel * pixels);
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least * 0.999) ?? 10 * power;
}

/** Labels of time below and of prices at the right, with faint lines through the picture. */
export function axes(context: Context, place: Place, right: number, last: number): void {
  const { camera, palette, group, data } = place;
  context.font = FONT;
  context.lineWidth = 1;
  const step = timeStep(camera.spot.msPerPixel, 92);
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let ms = Math.ceil(camera.fromMs / step) * step; ms < camera.spot.rightMs; ms += step) {
    const x = Math.round(camera.x(ms)) + 0.5;
    context.strokeStyle = palette.line;
    context.globalAlpha = 0.45;
    line(context, x, 0, x, camera.height);
    context.globalAlpha = 1;
    if (x > 28 && x < camera.width - 28) {
      context.fillStyle = palette.dim;
      context.fillText(clock(ms), x, camera.height + TIME_HEIGHT / 2);
    }
  }
  const perPixel = group / camera.spot.pixelsPerRow;
  const rise = priceStep(perPixel, 34);
  const digits = digitsOf(rise, data.priceScale);
  const taken = camera.y(rowOf(last, group));
  const low = camera.row(camera.height) * group;
  const high = camera.row(0) * group;
  for (let price = Math.ceil(low / rise) * rise; price <= high; price += rise) {
    const y = Math.round(camera.y(rowOf(price, group))) + 0.5;
    context.strokeStyle = palette.line;
    context.globalAlpha = 0.45;
    line(context, 0, y, camera.width, y);
    context.globalAlpha = 1;
    // The tag of the last price stands there instead.
    if (y > 8 && y < camera.height - 8 && !(Math.abs(y - taken) < 16)) {
      context.fillStyle = palette.dim;
      context.textAlign = "right";
      context.fillText(exact(price, data.priceScale, digits), right + PRICE_WIDTH - 8, y);
    }
  }
}

/** The axis says a price to the row and a little further; the ladder says all of it. */
function tagDigits(place: Place): number {
  return Math.min(place.data.priceScale, Math.max(2, digitsOf(place.group, place.data.priceScale)));
}

/** The last price as a tag on the axis. */
export function lastPrice(context: Context, place: Place, right: number, last: number): void {
  if (Number.isNaN(last)) return;
  const { camera, palette, data } = place;
  const y = camera.y(rowOf(last, place.group));
  if (y < 0 || y > camera.height) return;
  context.fillStyle = palette.accent;
  context.fillRect(right + 2, y - 9, PRICE_WIDTH - 3, 18);
  context.font = FONT;
  context.fillStyle = palette.panel;
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillText(exact(last, data.priceScale, tagDigits(place)), right + PRICE_WIDTH - 8, y + 0.5);
}

/** Bars of what rests now, at the same prices as the picture. */
export function currentBook(context: Context, place: Place, left: number): void {
  const { camera, data, palette, group } = place;
  const bars = [...side(data.ladder.bids, group, Math.floor), ...side(data.ladder.asks, group, Math.ceil)];
  const seen = bars.filter(([row]) => row > camera.row(camera.height) - 1 && row < camera.row(0) + 1);
  if (!seen.length) return;
  const sorted = seen.map(([, size]) => size).sort((a, b) => a - b);
  const most = sorted[Math.floor((sorted.length - 1) * 0.99)] || 1;
  const asksFrom = Math.ceil((data.ladder.asks[0]?.price ?? Infinity) / group);
  const tall = Math.max(1, Math.min(camera.spot.pixelsPerRow - (camera.spot.pixelsPerRow > 3 ? 1 : 0), 14));
  context.globalAlpha = 0.85;
  for (const [row, size] of seen) {
    context.fillStyle = row >= asksFrom ? palette.ask : palette.bid;
    const wide = Math.min(1, Math.sqrt(size / most)) * (COB_WIDTH - 8);
    context.fillRect(left + 2, camera.y(row + 0.5) - tall / 2, Math.max(1, wide), tall);
  }
  context.globalAlpha = 1;
}

function side(levels: LadderLevel[], group: number, round: (value: number) => number): [number, number][] {
  const rows = new Map<number, number>();
  for (const level of levels) {
    const row = round(level.price / group);
    rows.set(row, (rows.get(row) ?? 0) + Number(level.size));
  }
  return [...rows];
}

interface Cross {
  x: number;
  y: number;
  text: string[];
  frozen: boolean;
}

export function crosshair(context: Context, place: Place, right: number, cross: Cross): void {
  const { camera, palette, data, group } = place;
  const { x, y } = cross;
  context.font = FONT;
  context.strokeStyle = palette.dim;
  context.lineWidth = 1;
  context.setLineDash(cross.frozen ? [] : [3, 3]);
  line(context, 0, Math.round(y) + 0.5, right, Math.round(y) + 0.5);
  line(context, Math.round(x) + 0.5, 0, Math.round(x) + 0.5, camera.height);
  context.setLineDash([]);
  context.textBaseline = "middle";
  const price = Math.floor(camera.row(y)) * group;
  context.fillStyle = palette.line;
  context.fillRect(right + 2, y - 9, PRICE_WIDTH - 3, 18);
  context.fillStyle = palette.text;
  context.textAlign = "right";
  context.fillText(exact(price, data.priceScale, tagDigits(place)), right + PRICE_WIDTH - 8, y + 0.5);
  const time = clock(camera.ms(x), 1);
  const wide = context.measureText(time).width + 10;
  const at = Math.min(camera.width - wide / 2, Math.max(wide / 2, x));
  context.fillStyle = palette.line;
  context.fillRect(at - wide / 2, camera.height + 2, wide, TIME_HEIGHT - 4);
  context.fillStyle = palette.text;
  context.textAlign = "center";
  context.fillText(time, at, camera.height + TIME_HEIGHT / 2);
  if (cross.text.length) bubble(context, place, cross);
}

/** The words at the crosshair, on whichever side has room. */
function bubble(context: Context, place: Place, cross: Cross): void {
  const { camera, palette } = place;
  const wide = Math.max(...cross.text.map((text) => context.measureText(text).width)) + 20;
  const tall = cross.text.length * 16 + 12;
  // Where neither side has room for all of it, it begins at the edge.
  const x = Math.max(0, cross.x + 16 + wide > camera.width ? cross.x - 16 - wide : cross.x + 16);
  const y = cross.y + 16 + tall > camera.height ? Math.max(0, cross.y - 16 - tall) : cross.y + 16;
  context.fillStyle = palette.panel;
  context.globalAlpha = 0.96;
  context.beginPath();
  context.roundRect(x, y, wide, tall, 5);
  context.fill();
  context.globalAlpha = 1;
  context.strokeStyle = palette.line;
  context.stroke();
  context.textAlign = "left";
  cross.text.forEach((text, nth) => {
    context.fillStyle = nth === 0 ? palette.text : palette.dim;
    context.fillText(text, x + 10, y + 14 + nth * 16);
  });
}
