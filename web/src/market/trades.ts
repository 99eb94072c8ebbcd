/** The newest trades in columns, oldest first: as much memory on the first day as on the last. */
import type { TradeTold } from "../worker/decoder";

export const TRADES_KEPT = 20_000;
/** Beyond this the oldest go, all at once: moving the rest is rare then. */
const ROOM = TRADES_KEPT * 1.2;

export class Trades {
  length = 0;
  readonly t_us = new Float64Array(ROOM);
  /** In price units. */
  readonly price = new Float64Array(ROOM);
  /** In size units, as near as a float is: what is drawn. */
  readonly size = new Float64Array(ROOM);
  readonly side = new Uint8Array(ROOM);
  private readonly exact = new BigInt64Array(ROOM);

  clear(): void {
    this.length = 0;
  }

  push(trade: TradeTold): void {
    if (this.length === ROOM) this.trim();
    const nth = this.length++;
    this.t_us[nth] = trade.t_us;
    this.price[nth] = trade.price;
    this.size[nth] = Number(trade.size);
    this.side[nth] = trade.side;
    this.exact[nth] = BigInt(trade.size);
  }

  /** The first that is no older than a time, `length` where all are. */
  firstSince(t_us: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.t_us[middle] < t_us) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** As many as there are of a count, newest first. */
  newest(count: number): TradeTold[] {
    const found: TradeTold[] = [];
    for (let nth = this.length - 1; nth >= Math.max(0, this.length - count); nth--) {
      found.push({ t_us: this.t_us[nth], price: this.price[nth], size: this.exact[nth], side: this.side[nth] });
    }
    return found;
  }

  private trim(): void {
    for (const column of [this.t_us, this.price, this.size, this.side, this.exact]) column.copyWithin(0, ROOM - TRADES_KEPT);
    this.length = TRADES_KEPT;
  }
}
