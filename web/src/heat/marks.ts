/** What lies over the heatmap: best prices and large orders. */
import type { LargeOrder, MarketData } from "../market/data";
import type { Settings } from "../market/settings";
import type { Ring } from "../market/ring";
import type { Camera } from "./camera";
import { FONT, type Palette } from "./palette";

export interface Place {
  camera: Camera;
  data: MarketData;
  settings: Settings;
  palette: Palette;
  /** Price units a row. */
  group: number;
  level: number;
  selected: string | null;
  hovered: string | null;
  /** The finding that is looked at, or under the pointer. */
  finding: string | null;
}

export type Context = CanvasRenderingContext2D;

/** The middle of a price's row: bids are rounded down to rows, asks up, others stand where they are. */
export function rowOf(price: number, group: number, side?: "bid" | "ask"): number {
  const row = price / group;
  return (side === "bid" ? Math.floor(row) : side === "ask" ? Math.ceil(row) : row) + 0.5;
}

export function touchRow(bid: number, ask: number, last: number, group: number): number {
  const known = [bid, ask].filter((price) => !Number.isNaN(price));
  const middle = known.length ? known.reduce((sum, price) => sum + price, 0) / known.length : last;
  return rowOf(middle, group);
}

/** Best bid and ask as steps; several columns a pixel widen to the extremes they had. */
export function bestLines(context: Context, place: Place): void {
  const { camera, data, group, level, palette } = place;
  const ring = data.pyramid.rings[level];
  if (ring.newest < 0) return;
  for (const [values, side] of [[ring.bids, "bid"], [ring.asks, "ask"]] as const) {
    const path = steps(ring, values, side, camera, group);
    context.lineJoin = "round";
    context.strokeStyle = palette.halo;
    context.lineWidth = 3;
    context.stroke(path);
    context.strokeStyle = palette[side];
    context.lineWidth = 1.4;
    context.stroke(path);
  }
}

function steps(ring: Ring, values: Float64Array, side: "bid" | "ask", camera: Camera, group: number): Path2D {
  const path = new Path2D();
  const first = Math.max(ring.oldest, Math.floor(camera.fromMs / ring.bucketMs) - 1);
  const last = Math.min(ring.newest, Math.ceil(camera.spot.rightMs / ring.bucketMs));
  let broken = true;
  for (let bucket = first; bucket <= last; bucket++) {
    const slot = ring.slot(bucket);
    const value = ring.buckets[slot] === bucket ? values[slot] : NaN;
    if (Number.isNaN(value)) {
      broken = true;
      continue;
    }
    const y = camera.y(rowOf(value, group, side));
    const x = camera.x(bucket * ring.bucketMs);
    if (broken) path.moveTo(x, y);
    else path.lineTo(x, y);
    path.lineTo(camera.x((bucket + 1) * ring.bucketMs), y);
    broken = false;
  }
  return path;
}

/** Pixels of a large order's bar, null where it can't be seen. */
export function barOf(order: LargeOrder, place: Place): { x0: number; x1: number; y: number; high: number } | null {
  const { camera, group } = place;
  const y = camera.y(rowOf(order.price, group, order.told.side));
  if (y < -4 || y > camera.height + 4) return null;
  const begin = order.moves.length ? order.moves[order.moves.length - 1].ms : order.openedMs;
  const x0 = Math.max(-4, camera.x(begin));
  const end = order.endedMs ?? place.data.t_us / 1000;
  const x1 = Math.min(camera.width + 4, camera.x(end));
  if (x1 < 0 || x0 > camera.width || x1 < x0) return null;
  return { x0, x1, y, high: Math.min(9, Math.max(4, camera.spot.pixelsPerRow)) };
}

/** Births and ends as ticks and glyphs; a whole outline only of the one that is looked at, so that a
 * bright line of liquidity isn't drawn twice. */
export function largeOrders(context: Context, place: Place): Label[] {
  const { palette, data } = place;
  const labels: Label[] = [];
  for (const order of data.large.values()) {
    const bar = barOf(order, place);
    if (!bar) continue;
    const id = order.told.order_id;
    const special = id === place.selected || id === place.hovered;
    context.strokeStyle = special ? palette.accent : palette.large;
    context.globalAlpha = special ? 1 : 0.75;
    context.lineWidth = special ? 2 : 1;
    if (special) context.strokeRect(bar.x0, bar.y - bar.high / 2 - 1, Math.max(2, bar.x1 - bar.x0), bar.high + 2);
    else line(context, bar.x0, bar.y + bar.high / 2, bar.x1, bar.y + bar.high / 2);
    if (!order.told.left_truncated && bar.x0 > 0) line(context, bar.x0, bar.y - 4, bar.x0, bar.y + 4);
    for (const [nth, move] of order.moves.entries()) moved(context, order, nth, move, place);
    context.globalAlpha = 1;
    if (order.endedMs !== null) ending(context, order, bar.x1, bar.y, palette);
    if (special) labels.push({ x: Math.max(bar.x0, 0) + 4, y: bar.y - bar.high - 6, text: `${order.told.size_first} ${order.told.side}` });
  }
  return labels;
}

interface Label {
  x: number;
  y: number;
  text: string;
}

/** Places for a tag above and below where it belongs, nearest first. */
const TAG_PLACES = [0, 32, -20, 52, -40, 72];
/** A glyph reaches so far. */
const GLYPH_REACH = 8;

/** Where a tag of so many pixels covers no glyph; where there is no such place, where it belongs. */
export function freePlace(y: number, x0: number, wide: number, glyphs: readonly { x: number; y: number }[]): number {
  const covers = (at: number): boolean =>
    glyphs.some((glyph) => glyph.x > x0 - GLYPH_REACH && glyph.x < x0 + wide + GLYPH_REACH && Math.abs(glyph.y - at) < 8 + GLYPH_REACH);
  return y + (TAG_PLACES.find((away) => !covers(y + away)) ?? 0);
}

/** What large orders that are looked at are called, over everything else. */
export function largeTags(context: Context, labels: readonly Label[], glyphs: readonly { x: number; y: number }[], place: Place): void {
  context.font = FONT;
  for (const label of labels) {
    const wide = context.measureText(label.text).width + 8;
    const x = Math.min(label.x, place.camera.width - wide);
    tag(context, x, freePlace(label.y, x - 4, wide, glyphs), label.text, place.palette);
  }
}

/** An arrow from where it stood to where it went. */
function moved(context: Context, order: LargeOrder, nth: number, move: { ms: number; price: number }, place: Place): void {
  const { camera, group } = place;
  const next = order.moves[nth + 1]?.price ?? order.price;
  const x = camera.x(move.ms);
  if (x < 0 || x > camera.width) return;
  const [from, to] = [move.price, next].map((price) => camera.y(rowOf(price, group, order.told.side)));
  const way = Math.sign(to - from) || 1;
  line(context, x, from, x, to);
  line(context, x - 3, to - 5 * way, x, to);
  line(context, x + 3, to - 5 * way, x, to);
}

/** Filled: a full square.  Partly filled, then taken away: half of it.  Cancelled: a cross.  Cut, out of
 * the window, or of a reason that nobody knows: a ring. */
function ending(context: Context, order: LargeOrder, x: number, y: number, palette: Palette): void {
  const size = 3.5;
  const reason = order.told.reason ?? "";
  context.strokeStyle = context.fillStyle = palette.text;
  context.lineWidth = 1.6;
  const untold = reason === "unknown" && order.filled === 0;
  if (order.told.ending === "cut" || order.told.ending === "evicted" || untold) {
    context.beginPath();
    context.arc(x, y, size - 0.5, 0, 2 * Math.PI);
    context.stroke();
  } else if (reason.startsWith("fill") || order.filled >= order.sizeFirst) {
    context.fillRect(x - size, y - size, 2 * size, 2 * size);
  } else if (order.filled > 0) {
    context.strokeRect(x - size, y - size, 2 * size, 2 * size);
    context.fillRect(x - size, y, 2 * size, size);
  } else {
    line(context, x - size, y - size, x + size, y + size);
    line(context, x - size, y + size, x + size, y - size);
  }
}

export function line(context: Context, x0: number, y0: number, x1: number, y1: number): void {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

export function tag(context: Context, x: number, y: number, text: string, palette: Palette): void {
  const wide = context.measureText(text).width + 8;
  context.fillStyle = palette.panel;
  context.fillRect(x - 4, y - 8, wide, 16);
  context.strokeStyle = palette.line;
  context.lineWidth = 1;
  context.strokeRect(x - 3.5, y - 7.5, wide - 1, 15);
  context.fillStyle = palette.text;
  context.textBaseline = "middle";
  context.textAlign = "left";
  context.fillText(text, x, y + 0.5);
}
