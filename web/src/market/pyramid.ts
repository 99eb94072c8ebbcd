/** The same columns on several levels of detail, each the maximum over its buckets. */
import { GAP_CODE } from "../wire/frames";
import { type Column, Ring } from "./ring";

export const LEVELS_MS = [100, 200, 500, 1_000, 2_000, 5_000, 15_000, 60_000] as const;
export const ROWS = 1024;
const SLOTS = [4096, 2048, 2048, 2048, 2048, 2048, 2048, 2048];

export class Pyramid {
  readonly rings: readonly Ring[];
  /** Told (level, slot) of everything that was written. */
  changed: (level: number, slot: number) => void = () => {};
  cleared: () => void = () => {};

  constructor(rows = ROWS, slots: readonly number[] = SLOTS) {
    this.rings = LEVELS_MS.map((bucketMs, level) => new Ring(bucketMs, slots[level], rows));
  }

  get base(): Ring {
    return this.rings[0];
  }

  /** The finest level that has anything: a replay that is played fast has no columns of 100 ms. */
  get finestLevel(): number {
    return Math.max(0, this.rings.findIndex((ring) => ring.newest >= 0));
  }

  get finest(): Ring {
    return this.rings[this.finestLevel];
  }

  /** What is drawn at a scale: `levelFor`, and nothing finer than there is. */
  levelAt(msPerPixel: number): number {
    return Math.max(Pyramid.levelFor(msPerPixel), this.finestLevel);
  }

  clear(): void {
    for (const ring of this.rings) ring.clear();
    this.cleared();
  }

  /** A column of a level; every coarser level that its bucket divides takes it in. */
  put(level: number, column: Column): void {
    const fine = LEVELS_MS[level];
    const slot = this.rings[level].put(column);
    if (slot >= 0) this.changed(level, slot);
    for (let coarse = level + 1; coarse < LEVELS_MS.length; coarse++) {
      const wide = LEVELS_MS[coarse];
      if (wide % fine !== 0) continue;
      const bucket = Math.floor((column.bucket * fine) / wide);
      const merged = this.rings[coarse].merge({ ...column, bucket });
      if (merged >= 0) this.changed(coarse, merged);
    }
  }

  /** A column out of the recording: it fills what this page did not see, and changes nothing that it did. */
  past(level: number, column: Column): void {
    const ring = this.rings[level];
    if (level === 0 && ring.has(column.bucket) && !ring.isHatched(column.bucket)) return;
    if (level > 0 && ring.newest === column.bucket) return;
    this.put(level, column);
    for (let coarse = level + 1; coarse < LEVELS_MS.length; coarse++) {
      if (LEVELS_MS[coarse] % LEVELS_MS[level] === 0) this.heal(ring, column.bucket, coarse);
    }
  }

  /** A coarser bucket that was hatched is made anew once all of its parts up to now are known.  Where one of them is not,
   * the hatch stays over the others, too. */
  private heal(fine: Ring, part: number, coarse: number): void {
    const wide = this.rings[coarse];
    const parts = wide.bucketMs / fine.bucketMs;
    const bucket = Math.floor(part / parts);
    if (!wide.isHatched(bucket)) return;
    const from = bucket * parts;
    const end = Math.min(from + parts, fine.newest + 1);
    for (let each = from; each < end; each++) if (!fine.has(each) || fine.isHatched(each)) return;
    wide.forget(bucket);
    for (let each = from; each < end; each++) wide.merge({ ...fine.column(each), bucket });
    this.changed(coarse, wide.slot(bucket));
  }

  /** Buckets of 100 ms that nothing is known of, from `from` to before `to`: each ring hatches those of its own, as far
   * back as it reaches, and those that have a part in it. */
  gap(from: number, to: number): void {
    const { finest, finestLevel } = this;
    const codes = new Uint8Array(finest.rows).fill(GAP_CODE);
    const base = finest.newest >= 0 ? finest.bases[finest.slot(finest.newest)] : 0;
    for (let level = finestLevel; level < LEVELS_MS.length; level++) {
      const ring = this.rings[level];
      const wide = ring.bucketMs / LEVELS_MS[0];
      const end = Math.ceil(to / wide);
      for (let bucket = Math.max(Math.floor(from / wide), end - ring.slots); bucket < end; bucket++) {
        const column = { bucket, base, codes, bid: NaN, ask: NaN, last: NaN };
        const whole = bucket * wide >= from && (bucket + 1) * wide <= to;
        const slot = whole ? ring.put(column) : ring.merge(column);
        if (slot >= 0) this.changed(level, slot);
      }
    }
  }

  /** The finest level whose buckets are no narrower than a third of a pixel. */
  static levelFor(msPerPixel: number): number {
    let level = 0;
    while (level + 1 < LEVELS_MS.length && LEVELS_MS[level] * MOST_TAPS < msPerPixel * 1.001) level++;
    return level;
  }
}

/** Buckets that one pixel may look at. */
const MOST_TAPS = 3;
