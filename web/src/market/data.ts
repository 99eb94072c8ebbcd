/** A market's data as the pictures read it; never through React. */
import type { Finding, Large, LargeTold, MetricsTold } from "../wire/messages";
import type { GapTold, LadderLevel, QueueTold, TradeTold, Update } from "../worker/decoder";
import { joined } from "./findings";
import { ended, ingest } from "./ingest";
import { units } from "./numbers";
import { Pyramid, ROWS } from "./pyramid";
import { Series } from "./series";
import { Trades } from "./trades";

export const LARGE_KEPT = 4_000;
/** Of one large order: its newest. */
const MOVES_KEPT = 100;
const GAPS_KEPT = 500;
const METRICS_KEPT = 300;
const FLOW_SLOTS = [2048, 1024, 1024, 1024, 1024, 1024, 1024, 1024];

export interface LargeOrder {
  told: Large;
  price: number;
  size: number;
  sizeFirst: number;
  filled: number;
  openedMs: number;
  endedMs: number | null;
  /** Its price changed: drawn where it stood, too. */
  moves: { ms: number; price: number }[];
}

export class MarketData {
  readonly pyramid = new Pyramid();
  /** What came less what was taken away, trades left out, since the page looks. */
  readonly flows = new Pyramid(ROWS, FLOW_SLOTS);
  ladder: { bids: LadderLevel[]; asks: LadderLevel[] } = { bids: [], asks: [] };
  queue = new Map<string, QueueTold>();
  readonly trades = new Trades();
  large = new Map<string, LargeOrder>();
  /** Those without an end when an epoch began: who is told again comes back with its moves, the others are gone. */
  private aside = new Map<string, LargeOrder>();
  /** Newest first. */
  findings: Finding[] = [];
  /** One a second. */
  metrics: MetricsTold[] = [];
  gaps: GapTold[] = [];
  priceScale = 0;
  sizeScale = 0;
  /** Newest time of a frame, microseconds. */
  t_us = 0;
  /** Signed volume taken, a point a second: buys less sells since the page looks. */
  readonly cvd = new Series();
  readonly imbalances = new Series();

  clear(): void {
    this.pyramid.clear();
    this.flows.clear();
    this.ladder = { bids: [], asks: [] };
    this.queue.clear();
    this.trades.clear();
    this.large.clear();
    this.aside.clear();
    this.findings = [];
    this.metrics = [];
    this.gaps = [];
    this.cvd.clear();
    this.imbalances.clear();
    this.t_us = 0;
  }

  /** An epoch begins: its keys say what stands, and which gap goes on. */
  begin(): void {
    this.aside = new Map([...this.large].filter(([, { endedMs }]) => endedMs === null));
    for (const id of this.aside.keys()) this.large.delete(id);
    this.gaps = ended(this.gaps, this.t_us);
  }

  take(update: Update): void {
    ingest(this.pyramid, update);
    for (const column of update.flows) this.flows.put(0, column);
    this.t_us = Math.max(this.t_us, update.t_us);
    if (update.ladder) {
      this.ladder = update.ladder;
      this.imbalance();
    }
    if (update.queue) {
      this.queue = new Map(update.queue.map((level) => [`${level.side}:${level.price}`, level]));
    }
    for (const trade of update.trades) this.trade(trade);
    if (update.gaps.length) this.takeGaps(update.gaps);
  }

  /** A gap that is told again has another end, and is no other. */
  private takeGaps(told: GapTold[]): void {
    const all = new Map([...this.gaps, ...told].map((gap) => [gap.from_us, gap]));
    this.gaps = [...all.values()].slice(-GAPS_KEPT);
  }

  takeLarge(news: LargeTold): void {
    const whole = news.opened !== undefined;
    const before = this.large.get(news.order_id) ?? (whole ? this.aside.get(news.order_id) : undefined);
    const told = !whole ? before && { ...before.told, ...news, opened: before.told.opened } : news;
    if (!told) return; // too many are kept here: this one was let go of
    const price = units(told.price, this.priceScale);
    const moves = before?.moves ?? [];
    if (before && before.price !== price) {
      moves.push({ ms: this.t_us / 1000, price: before.price });
      if (moves.length > MOVES_KEPT) moves.shift();
    }
    this.aside.delete(told.order_id);
    this.large.delete(told.order_id);
    this.large.set(told.order_id, {
      told,
      price,
      size: units(told.size, this.sizeScale),
      sizeFirst: units(told.size_first, this.sizeScale),
      filled: units(told.filled, this.sizeScale),
      openedMs: Date.parse(told.opened),
      endedMs: told.ended ? Date.parse(told.ended) : null,
      moves,
    });
    if (this.large.size > LARGE_KEPT) this.large.delete(this.leastWanted());
  }

  /** Of the large orders: the one that ended first, or the one that was told of first. */
  private leastWanted(): string {
    let first = "";
    for (const [id, order] of this.large) {
      if (order.endedMs !== null) return id;
      first ||= id;
    }
    return first;
  }

  takeMetrics(told: MetricsTold): void {
    this.metrics = [...this.metrics.filter(({ t }) => t < told.t), told].slice(-METRICS_KEPT);
  }

  takeFindings(told: Finding[]): void {
    this.findings = joined(this.findings, told);
  }

  private trade(trade: TradeTold): void {
    this.trades.push(trade);
    if (trade.side > 1) return;
    const ms = Math.floor(trade.t_us / 1e6) * 1000;
    const signed = (trade.side === 0 ? 1 : -1) * Number(trade.size);
    this.cvd.set(ms, this.cvd.newest + signed);
  }

  /** Of what rests on the ten best prices of each side, −1 (asks only) to 1. */
  private imbalance(): void {
    const sum = (levels: LadderLevel[]): number =>
      levels.slice(0, 10).reduce((total, level) => total + Number(level.size), 0);
    const [bids, asks] = [sum(this.ladder.bids), sum(this.ladder.asks)];
    const ms = Math.floor(this.t_us / 1e6) * 1000;
    if (bids + asks === 0 || ms === 0) return;
    this.imbalances.set(ms, (bids - asks) / (bids + asks));
  }
}
