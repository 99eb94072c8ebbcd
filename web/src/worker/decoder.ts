/** One market as its frames tell it: columns, ladder, queues, trades.  No socket, no clock. */
import { KEY, type Content, type Header, type Level } from "../wire/frames";
import { Follows } from "../wire/follows";
import { subtract, type Whole } from "../wire/numbers";
import { LEVELS_MS } from "../market/pyramid";
import type { Column } from "../market/ring";

export const FLOW_WINDOW_US = 10_000_000;
/** Levels of the pyramid that the levels of detail of frames are. */
export const LEVEL_OF_LOD = [0, 3, 5, 7];

export interface LadderLevel {
  price: number;
  size: Whole;
  orders: number;
  /** Added less taken away within the last 10 s, trades left out; in size units. */
  flow: number;
  /** Traded at this price since the page looks; in size units. */
  traded: number;
}

export interface QueueTold {
  side: number;
  price: number;
  orders: number;
  shown: { handle: number; size: Whole }[];
}

export interface TradeTold {
  t_us: number;
  price: number;
  size: Whole;
  /** 0 buys, 1 sells, 2 unknown. */
  side: number;
}

export interface GapTold {
  from_us: number;
  to_us: number;
  reason: string;
}

export interface Update {
  /** Everything before it is void. */
  begin: boolean;
  columns: (Column & { level: number })[];
  ladder: { bids: LadderLevel[]; asks: LadderLevel[] } | null;
  queue: QueueTold[] | null;
  trades: TradeTold[];
  gaps: GapTold[];
  t_us: number;
}

export type Outcome = "taken" | "ask key" | "ignored";

interface Flow {
  t_us: number;
  amount: number;
}

export class Decoder {
  readonly follows = new Follows();
  frames = 0;
  private codes = new Uint8Array(0);
  private base = 0;
  private level = 0;
  private sides: [Map<number, Level>, Map<number, Level>] = [new Map(), new Map()];
  private queues = new Map<string, QueueTold>();
  private flows = new Map<number, Flow[]>();
  private traded = new Map<number, number>();
  private due: Update = empty();
  private openGap: GapTold | null = null;

  take(header: Header, content: Content): Outcome {
    const verdict = this.follows.judge(header);
    if (verdict === "lost") return "ask key";
    if (verdict === "old") return "ignored";
    if (verdict === "begin") this.begin();
    this.frames++;
    if (header.t_us > this.due.t_us) this.due.t_us = header.t_us;
    this.apply(header, content);
    return "taken";
  }

  /** What came since it was last asked, null: nothing. */
  flush(): Update | null {
    const { due } = this;
    if (due.ladder !== null) due.ladder = { bids: this.levels(0), asks: this.levels(1) };
    if (due.queue !== null) due.queue = [...this.queues.values()];
    const something =
      due.begin || due.columns.length || due.ladder || due.queue || due.trades.length || due.gaps.length;
    if (!something) return null;
    this.due = empty();
    return due;
  }

  /** Forgets what an earlier group or market left. */
  forget(): void {
    this.begin();
    this.traded.clear();
    this.flows.clear();
  }

  private begin(): void {
    this.sides = [new Map(), new Map()];
    this.queues.clear();
    this.openGap = null;
    this.due.begin = true;
  }

  private apply(header: Header, content: Content): void {
    switch (content.type) {
      case "HeatKey":
        this.base = content.base_row;
        this.level = LEVEL_OF_LOD[content.lod] ?? 0;
        this.codes = content.codes.slice();
        this.column(header, content);
        break;
      case "HeatDelta":
        this.codes = this.codes.slice();
        for (let nth = 0; nth < content.changed.length; nth += 2) {
          this.codes[content.changed[nth]] = content.changed[nth + 1];
        }
        this.column(header, content);
        break;
      case "Gap": {
        const told = { from_us: content.from_us, to_us: content.to_us, reason: content.reason };
        this.openGap = told.to_us === 0 ? told : null;
        this.due.gaps.push(told);
        break;
      }
      case "Ladder":
        this.ladder(header, [content.bids, content.asks]);
        break;
      case "Queue":
        if (header.flags & KEY) this.queues.clear();
        for (const level of content.levels) {
          const name = `${level.side}:${level.price}`;
          if (level.orders === 0) this.queues.delete(name);
          else this.queues.set(name, { ...level, price: Number(level.price) });
        }
        this.due.queue = [];
        break;
      case "Trades":
        for (const trade of content.trades) {
          const price = Number(trade.price);
          this.traded.set(price, (this.traded.get(price) ?? 0) + Number(trade.size));
          this.flow(price, header.t_us, Number(trade.size));
          this.due.trades.push({
            t_us: header.t_us - trade.behind_us,
            price,
            size: trade.size,
            side: trade.taker_side,
          });
        }
        this.due.ladder ??= { bids: [], asks: [] };
    }
  }

  private column(header: Header, told: { bid: Whole | null; ask: Whole | null; last: Whole | null }): void {
    if (header.t_us === 0 || this.openGap !== null) return;
    this.due.columns.push({
      level: this.level,
      bucket: Math.floor(header.t_us / 1_000 / LEVELS_MS[this.level]),
      base: this.base,
      codes: this.codes,
      bid: told.bid === null ? NaN : Number(told.bid),
      ask: told.ask === null ? NaN : Number(told.ask),
      last: told.last === null ? NaN : Number(told.last),
    });
  }

  private ladder(header: Header, told: [Level[], Level[]]): void {
    const isKey = (header.flags & KEY) !== 0;
    for (const side of [0, 1] as const) {
      const levels = this.sides[side];
      if (isKey) levels.clear();
      for (const level of told[side]) {
        const price = Number(level.price);
        const before = levels.get(price)?.size ?? 0;
        if (!isKey) this.flow(price, header.t_us, Number(subtract(level.size, before)));
        if (Number(level.size) === 0) levels.delete(price);
        else levels.set(price, level);
      }
    }
    this.due.ladder = { bids: [], asks: [] };
  }

  private flow(price: number, t_us: number, amount: number): void {
    const flows = this.flows.get(price);
    if (flows) flows.push({ t_us, amount });
    else this.flows.set(price, [{ t_us, amount }]);
  }

  private levels(side: 0 | 1): LadderLevel[] {
    const since = this.due.t_us - FLOW_WINDOW_US;
    const found = [...this.sides[side].values()].map((level): LadderLevel => {
      const price = Number(level.price);
      return {
        price,
        size: level.size,
        orders: level.orders,
        flow: this.flowAt(price, since),
        traded: this.traded.get(price) ?? 0,
      };
    });
    return found.sort(side === 0 ? (a, b) => b.price - a.price : (a, b) => a.price - b.price);
  }

  private flowAt(price: number, since: number): number {
    const flows = this.flows.get(price);
    if (!flows) return 0;
    const kept = flows.filter((flow) => flow.t_us >= since);
    if (kept.length) this.flows.set(price, kept);
    else this.flows.delete(price);
    return kept.reduce((sum, flow) => sum + flow.amount, 0);
  }
}

function empty(): Update {
  return { begin: false, columns: [], ladder: null, queue: null, trades: [], gaps: [], t_us: 0 };
}
