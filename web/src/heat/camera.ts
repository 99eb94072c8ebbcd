/** Which stretch of time and prices is seen. */

export type FollowPrice = "off" | "soft" | "centre";

interface Spot {
  /** Milliseconds since 1970 at the right edge. */
  rightMs: number;
  msPerPixel: number;
  /** Row in the middle. */
  row: number;
  pixelsPerRow: number;
}

const FINEST_MS = 4;
const COARSEST_MS = 120_000;
const THINNEST = 0.2;
const THICKEST = 60;
/** Columns of air between the newest column and the right edge, in pixels. */
const MARGIN = 28;
const KEPT = 50;

export class Camera {
  spot: Spot = { rightMs: 0, msPerPixel: 100, row: 0, pixelsPerRow: 4 };
  followTime = true;
  followPrice: FollowPrice = "soft";
  width = 1;
  height = 1;
  private history: Spot[] = [];

  get fromMs(): number {
    return this.spot.rightMs - this.width * this.spot.msPerPixel;
  }

  get topRow(): number {
    return this.spot.row + this.height / 2 / this.spot.pixelsPerRow;
  }

  x(ms: number): number {
    return this.width - (this.spot.rightMs - ms) / this.spot.msPerPixel;
  }

  /** Of a row's lower edge; of its middle for row + 0.5. */
  y(row: number): number {
    return (this.topRow - row) * this.spot.pixelsPerRow;
  }

  ms(x: number): number {
    return this.spot.rightMs - (this.width - x) * this.spot.msPerPixel;
  }

  row(y: number): number {
    return this.topRow - y / this.spot.pixelsPerRow;
  }

  /** A new column came: what follows it moves.  `middle`: the row of the touch. */
  follow(newestMs: number, middle: number): void {
    if (this.followTime) this.spot.rightMs = newestMs + MARGIN * this.spot.msPerPixel;
    if (Number.isNaN(middle) || this.followPrice === "off") return;
    const y = this.y(middle);
    const margin = this.height * 0.25;
    if (this.followPrice === "centre" || y < margin || y > this.height - margin) this.spot.row = middle;
  }

  pan(dx: number, dy: number): void {
    this.spot.rightMs -= dx * this.spot.msPerPixel;
    this.spot.row += dy / this.spot.pixelsPerRow;
    if (dx !== 0) this.followTime = false;
    if (dy !== 0) this.followPrice = "off";
  }

  /** `factor` above 1 shows more time; what is at `x` stays there. */
  zoomTime(factor: number, x: number): void {
    const at = this.ms(x);
    this.spot.msPerPixel = clamp(this.spot.msPerPixel * factor, FINEST_MS, COARSEST_MS);
    if (!this.followTime) this.spot.rightMs = at + (this.width - x) * this.spot.msPerPixel;
  }

  zoomPrice(factor: number, y: number): void {
    const at = this.row(y);
    this.spot.pixelsPerRow = clamp(this.spot.pixelsPerRow / factor, THINNEST, THICKEST);
    this.spot.row = at + (y - this.height / 2) / this.spot.pixelsPerRow;
  }

  /** To a rectangle of pixels. */
  box(x0: number, y0: number, x1: number, y1: number): void {
    this.remember();
    const [from, to] = [this.ms(Math.min(x0, x1)), this.ms(Math.max(x0, x1))];
    const [top, bottom] = [this.row(Math.min(y0, y1)), this.row(Math.max(y0, y1))];
    this.followTime = false;
    this.followPrice = "off";
    this.spot = {
      rightMs: to,
      msPerPixel: clamp((to - from) / this.width, FINEST_MS, COARSEST_MS),
      row: (top + bottom) / 2,
      pixelsPerRow: clamp(this.height / (top - bottom), THINNEST, THICKEST),
    };
  }

  /** So that `back` returns here. */
  remember(): void {
    this.history.push({ ...this.spot });
    if (this.history.length > KEPT) this.history.shift();
  }

  back(): boolean {
    const before = this.history.pop();
    if (before) this.spot = before;
    return before !== undefined;
  }

  centre(ms: number, row: number): void {
    this.remember();
    this.followTime = false;
    this.followPrice = "off";
    this.spot.rightMs = ms + (this.width / 2) * this.spot.msPerPixel;
    this.spot.row = row;
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
