/** Worker and page keep the same columns: both take updates in through this. */
import type { GapTold, Update } from "../worker/decoder";
import type { Pyramid } from "./pyramid";

const BUCKET_US = 100_000;

export function ingest(pyramid: Pyramid, update: Update): void {
  for (const column of update.columns) {
    const newest = pyramid.base.newest;
    if (column.level === 0 && newest >= 0 && column.bucket > newest + 1) pyramid.gap(newest + 1, column.bucket);
    pyramid.put(column.level, column);
  }
  for (const gap of update.gaps) {
    // What is drawn beyond the newest time that is known would take the picture into the future.
    const to = Math.min(gap.to_us || update.t_us, update.t_us);
    pyramid.gap(Math.floor(gap.from_us / BUCKET_US), Math.ceil(to / BUCKET_US));
  }
}

/** Gaps as they stand when an epoch begins: one that still goes on is told again behind the keys. */
export function ended(gaps: GapTold[], t_us: number): GapTold[] {
  return gaps.map((gap) => (gap.to_us === 0 ? { ...gap, to_us: Math.max(gap.from_us, t_us) } : gap));
}
