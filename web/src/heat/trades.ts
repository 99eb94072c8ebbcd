/** Trades over the heatmap: bubbles where they were, and sums by price. */
import type { Trades } from "../market/trades";
import { type Context, type Place, rowOf } from "./marks";
import type { Palette } from "./palette";

interface Bubble {
  x: number;
  y: number;
  /** By who took: buys, sells, unknown. */
  parts: [number, number, number];
}

/** The side that a taker takes from; of an unknown one the price stands where it is. */
const RESTED = ["ask", "bid", undefined] as const;

/** Trades near one another in time and price become one bubble at their mean. */
function cluster(trades: Trades, place: Place): Bubble[] {
  const { camera, group } = place;
  const fromUs = camera.fromMs * 1000;
  const toUs = camera.spot.rightMs * 1000;
  const least = place.settings.bubbleMin * 10 ** place.data.sizeScale;
  const cells = new Map<number, Bubble & { weight: number }>();
  const [wide, high] = [14, 18];
  for (let nth = trades.firstSince(fromUs); nth < trades.length; nth++) {
    const t_us = trades.t_us[nth];
    if (t_us > toUs) break;
    const size = trades.size[nth];
    if (size < least) continue;
    const side = trades.side[nth];
    const x = camera.x(t_us / 1000);
    const y = camera.y(rowOf(trades.price[nth], group, RESTED[side]));
    if (y < -high || y > camera.height + high) continue;
    // Cells stand still in time, so that bubbles don't flicker while the picture moves.
    const column = Math.floor(t_us / 1000 / (wide * camera.spot.msPerPixel));
    const key = column * 4096 + Math.floor(y / high);
    const cell = cells.get(key) ?? { x: 0, y: 0, parts: [0, 0, 0], weight: 0 };
    cell.x = (cell.x * cell.weight + x * size) / (cell.weight + size);
    cell.y = (cell.y * cell.weight + y * size) / (cell.weight + size);
    cell.weight += size;
    cell.parts[side] += size;
    cells.set(key, cell);
  }
  return [...cells.values()];
}

export function bubbles(context: Context, place: Place): void {
  const found = cluster(place.data.trades, place);
  if (!found.length) return;
  const sizes = found.map(({ parts }) => total(parts)).sort((a, b) => a - b);
  const usual = sizes[Math.floor(sizes.length * 0.98)] || 1;
  for (const bubble of found) {
    const radius = Math.min(20, Math.max(2, 12 * Math.sqrt(total(bubble.parts) / usual)));
    context.globalAlpha = 0.88;
    let from = -Math.PI / 2;
    for (const [share, colour] of slices(bubble.parts, place.palette)) {
      slice(context, bubble, radius, from, from + share * 2 * Math.PI, colour);
      from += share * 2 * Math.PI;
    }
    context.globalAlpha = 1;
    if (radius > 3) {
      context.beginPath();
      context.arc(bubble.x, bubble.y, radius, 0, 2 * Math.PI);
      context.strokeStyle = place.palette.halo;
      context.lineWidth = 1;
      context.stroke();
    }
  }
}

function total(parts: readonly number[]): number {
  return parts.reduce((sum, part) => sum + part, 0);
}

/** Shares of a bubble and their colours; those that nobody would see go to the others. */
export function slices(parts: Bubble["parts"], palette: Palette): [share: number, colour: string][] {
  const seen = parts.map((part) => (part > total(parts) * 0.02 ? part : 0));
  const colours = [palette.bid, palette.ask, palette.dim];
  return seen.flatMap((part, nth): [number, string][] => (part > 0 ? [[part / total(seen), colours[nth]]] : []));
}

function slice(context: Context, at: Bubble, radius: number, from: number, to: number, colour: string): void {
  context.beginPath();
  if (to - from < 2 * Math.PI) context.moveTo(at.x, at.y);
  context.arc(at.x, at.y, radius, from, to);
  context.closePath();
  context.fillStyle = colour;
  context.fill();
}

/** What was traded at each price of the visible stretch, from the left edge. */
export function volumeProfile(context: Context, place: Place): void {
  const { camera, group, palette } = place;
  const { trades } = place.data;
  const rows = new Map<number, [number, number, number]>();
  const high = Math.max(2, Math.ceil(3 / camera.spot.pixelsPerRow));
  for (let nth = trades.firstSince(camera.fromMs * 1000); nth < trades.length; nth++) {
    if (trades.t_us[nth] > camera.spot.rightMs * 1000) break;
    const row = Math.floor(trades.price[nth] / group / high);
    const sums = rows.get(row) ?? [0, 0, 0];
    sums[trades.side[nth]] += trades.size[nth];
    rows.set(row, sums);
  }
  const most = Math.max(1, ...[...rows.values()].map(total));
  context.globalAlpha = 0.7;
  for (const [row, sums] of rows) {
    const y = camera.y((row + 1) * high);
    const tall = Math.max(1, high * camera.spot.pixelsPerRow - 1);
    let x = 0;
    for (const [nth, colour] of [palette.bid, palette.ask, palette.dim].entries()) {
      const wide = (sums[nth] / most) * 110;
      context.fillStyle = colour;
      context.fillRect(x, y, wide, tall);
      x += wide;
    }
  }
  context.globalAlpha = 1;
}
