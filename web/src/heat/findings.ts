/** Findings over the heatmap: where orders stood that look like a pattern, and an iceberg's life. */
import { isIceberg } from "../market/findings";
import type { Finding } from "../wire/messages";
import { line, type Place, rowOf } from "./marks";
import { FONT } from "./palette";

type Context = CanvasRenderingContext2D;

const GLYPH = 6;
/** Nearer glyphs are drawn as one. */
const APART = 9;

/** Pixels of a finding, null where it can't be seen. */
export function boxOf(finding: Finding, place: Place): { x0: number; x1: number; y0: number; y1: number } | null {
  const { camera, data, group } = place;
  const side = finding.side;
  const y = (price: string): number => camera.y(rowOf(Math.round(Number(price) * 10 ** data.priceScale), group, side));
  const [x0, x1] = [camera.x(Date.parse(finding.began)), camera.x(Date.parse(finding.ended))];
  const [y0, y1] = [y(finding.price_high), y(finding.price_low)];
  if (x1 < 0 || x0 > camera.width || y1 < 0 || y0 > camera.height) return null;
  // Of a replay, what was not found yet is not shown.
  return Date.parse(finding.phases[0]?.at ?? finding.told) * 1000 <= data.t_us + 1_000_000 ? { x0, x1, y0, y1 } : null;
}

/** The middles of the glyphs that it drew: what is written elsewhere keeps away from them. */
export function findings(context: Context, place: Place): { x: number; y: number }[] {
  const { palette, data } = place;
  const drawn: { x: number; y: number }[] = [];
  context.font = FONT;
  for (const finding of data.findings) {
    const box = boxOf(finding, place);
    if (!box) continue;
    const special = finding.id === place.finding;
    context.strokeStyle = context.fillStyle = special ? palette.accent : isIceberg(finding) ? palette.iceberg : palette.spoof;
    context.lineWidth = special ? 2 : 1;
    context.setLineDash([4, 3]);
    context.strokeRect(box.x0, box.y0 - 3, Math.max(2, box.x1 - box.x0), box.y1 - box.y0 + 6);
    context.setLineDash([]);
    if (isIceberg(finding)) life(context, finding, place, box, drawn);
    else if (finding.kind === "layering") bracket(context, finding, place, box);
    else if (free(drawn, box.x1, box.y0)) triangle(context, box.x1, finding.side === "bid" ? box.y1 + 4 : box.y0 - 4, finding.side);
  }
  return drawn;
}

/** Links the orders of a layering: a tick at each price that is known, and how much it was in all. */
function bracket(context: Context, finding: Finding, place: Place, box: { x0: number; x1: number; y0: number; y1: number }): void {
  const { camera, data, group } = place;
  const x = Math.round(box.x1 + 5) + 0.5;
  const orders = finding.order_ids.flatMap((id) => data.large.get(id) ?? []);
  const ticks = orders.map((order) => camera.y(rowOf(order.moves[0]?.price ?? order.price, group, finding.side)));
  line(context, x, box.y0, x, box.y1);
  for (const y of [box.y0, box.y1, ...ticks]) line(context, x - 4, y, x, y);
  if (finding.id !== place.finding) return;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(`${finding.orders} orders, ${finding.size}`, x + 5, (box.y0 + box.y1) / 2);
}

/** Points towards the side it stood on: up for bids, down for asks. */
function triangle(context: Context, x: number, y: number, side: string): void {
  const way = side === "bid" ? 1 : -1;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x - GLYPH, y + 2 * GLYPH * way * 0.8);
  context.lineTo(x + GLYPH, y + 2 * GLYPH * way * 0.8);
  context.closePath();
  context.fill();
}

/** D detected, T traded with, E executed, C cancelled, each where it was told. */
function life(context: Context, finding: Finding, place: Place, box: { x0: number; x1: number; y0: number }, drawn: { x: number; y: number }[]): void {
  const y = box.y0 - 12;
  line(context, box.x0, y, box.x1, y);
  for (const { phase, at } of finding.phases) {
    const x = place.camera.x(Date.parse(at));
    if (x < 0 || x > place.camera.width || !free(drawn, x, y)) continue;
    context.beginPath();
    context.arc(x, y, GLYPH, 0, 2 * Math.PI);
    context.fill();
    const fill = context.fillStyle;
    context.fillStyle = place.palette.ground;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(phase[0].toUpperCase(), x, y + 0.5);
    context.fillStyle = fill;
  }
}

function free(drawn: { x: number; y: number }[], x: number, y: number): boolean {
  if (drawn.some((other) => Math.abs(other.x - x) < APART && Math.abs(other.y - y) < APART)) return false;
  drawn.push({ x, y });
  return true;
}

/** The finding whose edge or glyph is nearest, within reach. */
export function findingAt(place: Place, x: number, y: number): Finding | null {
  for (const finding of place.data.findings) {
    const box = boxOf(finding, place);
    if (!box || x < box.x0 - 8 || x > box.x1 + 8 || y < box.y0 - 18 || y > box.y1 + 18) continue;
    const inside = x > box.x0 + 4 && x < box.x1 - 4 && y > box.y0 + 4 && y < box.y1 - 4;
    if (!inside) return finding;
  }
  return null;
}
