/** A value a second, the newest so many, in columns: as much memory on the first day as on the last. */

const SECONDS_KEPT = 7_000;
/** Beyond this the oldest go, all at once. */
const ROOM = SECONDS_KEPT + 1_000;

export interface Point {
  ms: number;
  value: number;
}

export class Series {
  private length = 0;
  private readonly times = new Float64Array(ROOM);
  private readonly values = new Float64Array(ROOM);

  clear(): void {
    this.length = 0;
  }

  /** 0 before the first. */
  get newest(): number {
    return this.length ? this.values[this.length - 1] : 0;
  }

  /** The value of a second; of the newest one it replaces what it was. */
  set(ms: number, value: number): void {
    if (this.length && this.times[this.length - 1] === ms) this.length--;
    else if (this.length === ROOM) {
      for (const column of [this.times, this.values]) column.copyWithin(0, ROOM - SECONDS_KEPT);
      this.length = SECONDS_KEPT;
    }
    this.times[this.length] = ms;
    this.values[this.length++] = value;
  }

  within(fromMs: number, toMs: number): Point[] {
    const found: Point[] = [];
    for (let nth = 0; nth < this.length; nth++) {
      const ms = this.times[nth];
      if (ms >= fromMs && ms <= toMs) found.push({ ms, value: this.values[nth] });
    }
    return found;
  }
}
