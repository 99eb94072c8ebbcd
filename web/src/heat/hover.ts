/** What stands under the pointer, in words. */
import { clock, digitsOf, exact, short, span } from "../market/numbers";
import { GAP_CODE } from "../wire/frames";
import { add, type Whole } from "../wire/numbers";
import { useLive } from "../market/state";
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
    if (order.endedMs !== null) lines.push(`${told.reason ?? told.ending ?? "ended"} ${clock(order.endedMs)}`);
    return lines;
  }
  const code = ring.sample(bucket, row);
  if (code < 0) return [price, "nothing recorded here"];
  if (code === GAP_CODE) return [price, "a gap: nothing is known"];
  const slot = ring.slot(bucket);
  const isAsk = row * group >= ring.asks[slot];
  const lines = [`${price}  ${isAsk ? "ask" : "bid"}`];
  const now = x >= camera.x((data.pyramid.base.newest) * 100) - 2;
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

/** The size in the middle of a code's step, in size units. */
export function sizeOf(code: number): number {
  const { opened } = useLive.getState();
  if (!opened) return NaN;
  return opened.code_unit * 2 ** ((code - opened.code_offset) / opened.steps_per_octave);
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
export function brief(id: string): string {
  return id.length <= 12 ? id : `${id.slice(0, 4)}\u2026${id.slice(-6)}`;
}
