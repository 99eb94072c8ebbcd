/** What stands over the heatmap: marks, and what follows the pointer. */
import { cardOf } from "../market/findings";
import { type Box, useLive } from "../market/state";
import { axes, crosshair, currentBook, lastPrice } from "./axes";
import type { Camera } from "./camera";
import { findings } from "./findings";
import { describe } from "./hover";
import { bestLines, largeOrders, largeTags, type Place } from "./marks";
import type { Palette } from "./palette";
import type { Pointer } from "./pointer";
import { bubbles, volumeProfile } from "./trades";

/** `right`: where the prices begin, in pixels. */
export function drawMarks(context: CanvasRenderingContext2D, place: Place, right: number): void {
  const { settings, camera, data } = place;
  const { finest } = data.pyramid;
  const last = finest.newest < 0 ? NaN : finest.lasts[finest.slot(finest.newest)];
  axes(context, place, right, last);
  within(context, camera.width, camera.height, () => {
    if (settings.profile) volumeProfile(context, place);
    const labels = settings.large ? largeOrders(context, place) : [];
    bestLines(context, place);
    if (settings.bubbles) bubbles(context, place);
    const glyphs = settings.markers ? findings(context, place) : [];
    largeTags(context, labels, glyphs, place);
  });
  within(context, right, camera.height, () => {
    if (settings.cob) currentBook(context, place, camera.width);
  });
  lastPrice(context, place, right, last);
}

/** The stretch that was chosen, the one that is being drawn, or what lies under the pointer. */
export function drawCross(context: CanvasRenderingContext2D, place: Place, right: number, pointer: Pointer): void {
  const { camera, palette } = place;
  const { box } = useLive.getState();
  if (box) drawBox(context, camera, palette, box);
  const { drag, at, found } = pointer;
  if (drag?.box && drag.moved && at) {
    context.strokeStyle = palette.accent;
    context.strokeRect(drag.fromX, drag.fromY, at.x - drag.fromX, at.y - drag.fromY);
    return;
  }
  const shown = pointer.frozen ?? at;
  if (!shown || shown.x > camera.width || shown.y > camera.height || drag?.moved) return;
  crosshair(context, place, right, { ...shown, text: found ? cardOf(found) : describe(place, shown.x, shown.y), frozen: pointer.frozen !== null });
}

function drawBox(context: CanvasRenderingContext2D, camera: Camera, palette: Palette, box: Box): void {
  const [x0, x1] = [camera.x(box.fromMs), camera.x(box.toMs)];
  const [y0, y1] = [camera.y(box.high), camera.y(box.low)];
  within(context, camera.width, camera.height, () => {
    context.strokeStyle = palette.accent;
    context.lineWidth = 1.5;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.fillStyle = palette.accent;
    context.globalAlpha = 0.08;
    context.fillRect(x0, y0, x1 - x0, y1 - y0);
  });
}

/** Draws nothing beyond. */
function within(context: CanvasRenderingContext2D, width: number, height: number, draw: () => void): void {
  context.save();
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  draw();
  context.restore();
}
