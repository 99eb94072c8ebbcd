/** Worker and page keep the same columns: both take updates in through this. */
import type { Update } from "../worker/decoder";
import type { Pyramid } from "./pyramid";

const BUCKET_US = 100_000;

export function ingest(pyramid: Pyramid, update: Update): void {
  for (const column of update.columns) {
    const newest = pyramid.base.newest;
    if (column.level === 0 && newest >= 0 && column.bucket > newest + 1) pyramid.gap(newest + 1, column.bucket);
    pyramid.put(column.level, column);
  }
  for (const gap of update.gaps) {
    const to = gap.to_us || update.t_us;
    pyramid.gap(Math.floor(gap.from_us / BUCKET_US), Math.ceil(to / BUCKET_US));
  }
}
