import { KEY, type Header } from "./frames";

/** What is to be done with a frame, after those that came before it. */
type Verdict = "take" | "begin" | "lost" | "old";

/** Epoch and number of the last frame that was applied. */
export class Follows {
  epoch = -1;
  seq = -1;
  /** Frames that were dropped because one before them is missing. */
  lost = 0;
  private waits = false;

  /** `begin`: a new epoch, everything before it is void.  `lost`: ask for a key, once. */
  judge(header: Header): Verdict {
    if (header.epoch < this.epoch) return "old";
    if (header.epoch > this.epoch) {
      if (header.seq !== 0 || !(header.flags & KEY)) return this.lose();
      this.epoch = header.epoch;
      this.seq = 0;
      this.waits = false;
      return "begin";
    }
    if (this.waits) return "old";
    if (header.seq <= this.seq) return "old";
    if (header.seq !== this.seq + 1) return this.lose();
    this.seq = header.seq;
    return "take";
  }

  /** After another socket was opened. */
  reset(): void {
    this.epoch = this.seq = -1;
    this.waits = false;
  }

  private lose(): Verdict {
    this.lost++;
    if (this.waits) return "old";
    this.waits = true;
    return "lost";
  }
}
