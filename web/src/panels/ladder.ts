/** The ladder on a canvas: exact sizes, the queue inside each price, what was added and taken. */
import type { MarketData } from "../market/data";
import { exact, short } from "../market/numbers";
import type { Palette } from "../heat/palette";
import { FONT } from "../heat/palette";
import type { LadderLevel, QueueTold } from "../worker/decoder";
import { add, type Whole } from "../wire/numbers";

const ROW = 18;
const HEAD = 20;
const SPREAD = 24;

export interface Hit {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
  handle: number;
}

interface Columns {
  price: number;
  size: number;
  sum: number;
  count: number;
  queue: [number, number];
  flow: number;
  traded: number | null;
}

/** Right edges of the columns, as wide as what they show; `traded` only where there is room. */
function columnsFor(width: number, priceWidth: number, sizeWidth: number): Columns {
  const price = 10 + priceWidth;
  const size = price + 12 + sizeWidth;
  const sum = size + 42;
  const count = sum + 26;
  const traded = width - count >= 190 ? width - 8 : null;
  const flow = traded === null ? width - 8 : traded - 50;
  return { price, size, sum, count, queue: [count + 8, flow - 46], flow, traded };
}

interface LadderPlace {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  data: MarketData;
  palette: Palette;
  last: number;
  selectedHandle: number | null;
  largeUnits: number;
}

/** Draws it and answers where each order stands. */
export function drawLadder(place: LadderPlace): Hit[] {
  const { context, width, height, data } = place;
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  context.textBaseline = "middle";
  const { bids, asks } = data.ladder;
  const seen = [...asks.slice(0, 40), ...bids.slice(0, 40)];
  const columns = columnsFor(
    width,
    widest(context, seen.map((level) => exact(level.price, data.priceScale))),
    widest(context, seen.map((level) => sizeText(level.size, data.sizeScale))),
  );
  head(place, columns);
  const rows = Math.max(1, Math.floor((height - HEAD - SPREAD) / 2 / ROW));
  const middle = HEAD + rows * ROW;
  const hits: Hit[] = [];
  spread(place, columns, middle, bids[0], asks[0]);
  const most = usual([...bids.slice(0, rows), ...asks.slice(0, rows)]);
  let sum: Whole = 0;
  asks.slice(0, rows).forEach((level, nth) => {
    sum = add(sum, level.size);
    row(place, columns, level, 1, middle - (nth + 1) * ROW, sum, most, hits);
  });
  sum = 0;
  bids.slice(0, rows).forEach((level, nth) => {
    sum = add(sum, level.size);
    row(place, columns, level, 0, middle + SPREAD + nth * ROW, sum, most, hits);
  });
  return hits;
}

function head(place: LadderPlace, columns: Columns): void {
  const { context, palette } = place;
  context.fillStyle = palette.dim;
  context.textAlign = "right";
  context.fillText("price", columns.price, HEAD / 2);
  context.fillText("size", columns.size, HEAD / 2);
  context.fillText("sum", columns.sum, HEAD / 2);
  context.fillText("n", columns.count, HEAD / 2);
  context.fillText("\u00b1 10 s", columns.flow, HEAD / 2);
  if (columns.traded !== null) context.fillText("traded", columns.traded, HEAD / 2);
  context.textAlign = "left";
  context.fillText("queue", columns.queue[0], HEAD / 2);
}

function widest(context: CanvasRenderingContext2D, texts: string[]): number {
  const longest = texts.reduce((found, text) => (text.length > found.length ? text : found), "00000000");
  return context.measureText(longest).width;
}

function spread(place: LadderPlace, columns: Columns, y: number, bid?: LadderLevel, ask?: LadderLevel): void {
  const { context, width, palette, data } = place;
  context.fillStyle = palette.ground;
  context.fillRect(0, y, width, SPREAD);
  context.fillStyle = palette.text;
  context.textAlign = "right";
  if (!Number.isNaN(place.last)) context.fillText(exact(place.last, data.priceScale), columns.price, y + SPREAD / 2);
  context.fillStyle = palette.dim;
  context.textAlign = "left";
  if (bid && ask) {
    const gap = ask.price - bid.price;
    const share = (1e4 * gap) / ((ask.price + bid.price) / 2);
    const text = exact(gap, data.priceScale).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
    context.fillText(`last \u00b7 spread ${text} (${share.toFixed(2)} bp)`, columns.price + 12, y + SPREAD / 2);
  }
}

function row(place: LadderPlace, columns: Columns, level: LadderLevel, side: 0 | 1, y: number, sum: Whole, most: number, hits: Hit[]): void {
  const { context, data, palette, width } = place;
  const colour = side === 0 ? palette.bid : palette.ask;
  const { sizeScale } = data;
  const middle = y + ROW / 2 + 0.5;
  context.fillStyle = colour;
  context.globalAlpha = 0.1;
  context.fillRect(columns.price + 6, y, Math.min(1, Math.sqrt(Number(level.size) / most)) * (width - columns.price - 6), ROW - 1);
  context.globalAlpha = 1;
  if (level.price === place.last) {
    context.fillStyle = palette.accent;
    context.globalAlpha = 0.18;
    context.fillRect(0, y, columns.price + 6, ROW - 1);
    context.globalAlpha = 1;
  }
  context.textAlign = "right";
  context.fillStyle = colour;
  context.fillText(exact(level.price, data.priceScale), columns.price, middle);
  context.fillStyle = palette.text;
  context.fillText(sizeText(level.size, sizeScale), columns.size, middle);
  context.fillStyle = palette.dim;
  context.fillText(short(Number(sum) / 10 ** sizeScale), columns.sum, middle);
  context.fillText(level.orders > 999 ? "999+" : String(level.orders), columns.count, middle);
  if (level.flow !== 0) {
    context.fillStyle = level.flow > 0 ? palette.bid : palette.ask;
    context.fillText(`${level.flow > 0 ? "+" : "\u2212"}${short(Math.abs(level.flow) / 10 ** sizeScale)}`, columns.flow, middle);
  }
  if (columns.traded !== null && level.traded > 0) {
    context.fillStyle = palette.dim;
    context.fillText(short(level.traded / 10 ** sizeScale), columns.traded, middle);
  }
  const queue = data.queue.get(`${side}:${level.price}`);
  if (queue) segments(place, queue, columns.queue, Math.min(1, Math.sqrt(Number(level.size) / most)), y, colour, hits);
}

/** One segment an order, the front of the queue first, their widths as the roots of their sizes; those
 * that don't fit are counted. */
function segments(place: LadderPlace, queue: QueueTold, [from, to]: [number, number], share: number, y: number, colour: string, hits: Hit[]): void {
  const { context, palette } = place;
  const room = to - from - 26;
  const roots = queue.shown.map((order) => Math.sqrt(Number(order.size)));
  const factor = (share * room) / (roots.reduce((total, root) => total + root, 0) || 1);
  let x = from;
  let drawn = 0;
  for (let nth = 0; nth < queue.shown.length; nth++) {
    const order = queue.shown[nth];
    const wide = Math.max(3, roots[nth] * factor);
    if (x + wide > from + room) break;
    const selected = order.handle === place.selectedHandle;
    context.fillStyle = selected ? palette.accent : Number(order.size) >= place.largeUnits ? palette.large : colour;
    context.globalAlpha = selected || nth === 0 ? 1 : 0.7;
    context.fillRect(x, y + 4, wide - 1, ROW - 9);
    hits.push({ x0: x, x1: x + wide, y0: y, y1: y + ROW, handle: order.handle });
    x += wide;
    drawn++;
  }
  context.globalAlpha = 1;
  const rest = queue.orders - drawn;
  if (rest > 0) {
    context.fillStyle = palette.dim;
    context.textAlign = "left";
    context.fillText(`+${rest}`, x + 3, y + ROW / 2 + 0.5);
  }
}

/** All digits while they fit; what is cut beyond eight digits is cut at the small end. */
function sizeText(size: Whole, scale: number): string {
  const text = exact(size, scale);
  return text.length <= 10 ? text : exact(size, scale, Math.max(0, scale - (text.length - 10))).replace(/\.$/, "");
}

function usual(levels: LadderLevel[]): number {
  const sizes = levels.map((level) => Number(level.size)).sort((a, b) => a - b);
  return sizes[Math.floor((sizes.length - 1) * 0.97)] || 1;
}
