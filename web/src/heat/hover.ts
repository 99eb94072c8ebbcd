/** What stands under the pointer, in words. */
import { clock, digitsOf, exact, short, span } from "../market/numbers";
import { GAP_CODE } from "../wire/frames";
import { add, type Whole } from "../wire/numbers";
import { useLive } from "../market/state";
import type { LargeOrder, MarketData } from "../market/data";
import type { LadderLevel } from "../worker/decoder";
import type { Place } from "./marks";

/** Lines of the bubble, the first one the loudest. */
export function describe(place: Place, x: number, y: number): string[] {
  const { camera, data, group, hovered } = place;
  const ring = data.pyramid.rings[place.level];
  const row = Math.floor(camera.row(y));
  const bucket = Math.floor(camera.ms(x) / ring.bucketMs);
  const price = exact(row * group, data.priceScale, Math.max(2, digitsOf(group, data.priceScale)));
  const order = hovered === null ? undefined : data.large.get(hovered);
  if (order) {
    const { told } = order;
    const now = data.t_us / 1000;
    const lines = [`${told.side} ${told.price}  ${brief(told.order_id)}`, `size ${told.size} of ${told.size_first}, filled ${told.filled}`];
    lines.push(`${order.endedMs === null ? "alive for" : "lived"} ${span((order.endedMs ?? now) - order.openedMs)}${told.left_truncated ? " or longer" : ""}`);
    if (told.amendments) lines.push(`${told.amendments} amendments`);
    if (order.endedMs === null) lines.push(...placeIn(order, data));
    const found = data.findings.filter(({ order_ids }) => order_ids.includes(told.order_id));
    if (found.length) lines.push(`in ${found.map(({ kind, score }) => `${kind} ${score.toFixed(2)}`).slice(0, 3).join(", ")}`);
    if (told.inferred) lines.push(`${told.inferred} concluded, not told`);
    if (order.endedMs !== null) lines.push(`${told.reason ?? told.ending ?? "ended"} ${clock(order.endedMs)}`);
    return lines;
  }
  if (place.settings.layer === "flow") return [price, flowAt(place, row, x)];
  const code = ring.sample(bucket, row);
  if (code < 0) return [price, "nothing recorded here"];
  if (code === GAP_CODE) return [price, "a gap: nothing is known"];
  const slot = ring.slot(bucket);
  const isAsk = row * group >= ring.asks[slot];
  const lines = [`${price}  ${isAsk ? "ask" : "bid"}`];
  const now = x >= camera.x((data.pyramid.finest.newest) * data.pyramid.finest.bucketMs) - 2;
  if (now) {
    const told = restingNow(isAsk ? data.ladder.asks : data.ladder.bids, row, group, isAsk);
    if (told.orders) {
      lines.push(`size ${exact(told.size, data.sizeScale)} in ${told.orders} orders`);
      lines.push(`notional ${short((Number(told.size) / 10 ** data.sizeScale) * row * group / 10 ** data.priceScale)}`);
      lines.push(`${((100 * Number(told.size)) / told.all).toFixed(2)} % of the side's ladder`);
      return lines;
    }
  }
  lines.push(code === 0 ? "nothing rests" : `at most \u2248 ${short(sizeOf(code) / 10 ** data.sizeScale)} within ${span(ring.bucketMs)}`);
  return lines;
}

/** How many orders stand before it in its price, and how much; nothing where its queue is not shown. */
export function placeIn(order: LargeOrder, data: MarketData): string[] {
  const queue = data.queue.get(`${order.told.side === "bid" ? 0 : 1}:${order.price}`);
  if (!queue) return [];
  const at = queue.shown.findIndex(({ handle }) => handle === order.told.handle);
  if (at < 0) return queue.orders > queue.shown.length ? [`behind the first ${queue.shown.length} of ${queue.orders}`] : [];
  const ahead = queue.shown.slice(0, at).reduce<Whole>((sum, { size }) => add(sum, size), 0);
  return [`${at + 1}. of ${queue.orders} in its price, ${exact(ahead, data.sizeScale)} ahead`];
}

/** The size in the middle of a code's step, in size units. */
export function sizeOf(code: number): number {
  const { opened } = useLive.getState();
  if (!opened) return NaN;
  return opened.code_unit * 2 ** ((code - opened.code_offset) / opened.steps_per_octave);
}

/** The code of a size in size units. */
export function codeOf(units: number): number {
  const { opened } = useLive.getState();
  if (!opened) return NaN;
  return opened.code_offset + opened.steps_per_octave * Math.log2(units / opened.code_unit);
}

/** What came less what was taken away there, in words. */
function flowAt(place: Place, row: number, x: number): string {
  const { flows } = place.data;
  const ring = flows.rings[flows.levelAt(place.camera.spot.msPerPixel)];
  const code = ring.sample(Math.floor(place.camera.ms(x) / ring.bucketMs), row);
  if (code <= 0) return "nothing came or went, or nobody looked";
  return `${code & 1 ? "added" : "taken away"} \u2248 ${short(sizeOf(code & ~1) / 10 ** place.data.sizeScale)}, at most within 100 ms`;
}

function restingNow(levels: LadderLevel[], row: number, group: number, isAsk: boolean): { size: Whole; orders: number; all: number } {
  let size: Whole = 0;
  let orders = 0;
  let all = 0;
  for (const level of levels) {
    all += Number(level.size);
    const at = isAsk ? Math.ceil(level.price / group) : Math.floor(level.price / group);
    if (at === row) {
      size = add(size, level.size);
      orders += level.orders;
    }
  }
  return { size, orders, all };
}

/** An order's id as short as people can compare. */
function brief(id: string): string {
  return id.length <= 12 ? id : `${id.slice(0, 4)}\u2026${id.slice(-6)}`;
}
