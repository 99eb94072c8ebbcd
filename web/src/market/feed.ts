/** Between the worker, the pictures and the chrome. */
import type { Told } from "../wire/messages";
import { address, ask } from "../wire/server";
import type { FromWorker, OpenWish, ToWorker } from "../worker/protocol";
import { merged } from "./alerts";
import { MarketData } from "./data";
import { load } from "./findings";
import { useLive } from "./state";
import { listed } from "./markets";
import { useSettings } from "./settings";
import { ring } from "./sound";
import { askRecording } from "./recording";

/** Everything that a page is told where it asks for nothing else. */
const CHANNELS = ["heat", "ladder", "queue", "trades", "large"];
/** The chrome changes at most so often. */
const TURN_MS = 250;
/** Only so many findings are asked for, the newest: those around a replay are not all before now. */
const FINDINGS_BEHIND_MS = 3_600_000;
/** Alerts that pop up at a time. */
const TOASTS = 3;

export class Feed {
  readonly data = new MarketData();
  /** Called after anything came that a picture shows. */
  readonly drawn = new Set<() => void>();
  wish: OpenWish | null = null;
  /** Milliseconds between a bucket's end and its arrival here. */
  private lag = NaN;
  /** Of contrast, that were applied last. */
  private shares = "null null";
  private turning = false;
  private waitedUntil = 0;
  /** The answer to an open. */
  private awaited = false;

  constructor(private readonly worker: Worker) {
    worker.onmessage = (event: MessageEvent<FromWorker>) => this.heard(event.data);
    const url = new URL(address("page/ws"));
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.tell({ do: "connect", url: url.href });
    document.addEventListener("visibilitychange", () =>
      this.tell({ do: "visible", visible: document.visibilityState === "visible" }),
    );
  }

  tell(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  open(wish: OpenWish): void {
    wish = { channels: this.wish?.channels, ...wish };
    const { wish: before } = this;
    const other = before?.exchange !== wish.exchange || before.symbol !== wish.symbol;
    const { clock } = useLive.getState();
    // The same replay seen otherwise goes on where its clock stands.
    const goesOn = !other && before.source === "replay" && wish.source === "replay" && wish.at === undefined;
    if (goesOn) wish.at = clock?.t ?? before.at;
    const elsewhere = other || before.source !== wish.source || (wish.at !== undefined && !goesOn);
    this.wish = wish;
    if (elsewhere) useLive.setState({ frozen: false, clock: null, status: null, heardAt: 0, lag: NaN });
    if (other) {
      this.data.clear();
      useLive.setState({ opened: null, box: null, selected: null, finding: null, findingsError: "" });
    }
    useLive.setState({ refused: "", denied: "" });
    this.awaited = true;
    this.tell({ do: "open", wish });
    if (goesOn && clock?.playing) this.send({ op: "play", speed: clock.speed });
  }

  /** What is shown, seen otherwise. */
  reopen(change: Partial<OpenWish> = {}): void {
    if (this.wish) this.open({ ...this.wish, at: undefined, ...change });
  }

  /** To another time of what is replayed. */
  seek(at: string): void {
    if (!this.wish) return;
    this.wish = { ...this.wish, at };
    useLive.setState(({ clock }) => ({ clock: clock && { ...clock, t: at } }));
    this.send({ op: "seek", at });
  }

  send(request: Record<string, unknown>): void {
    useLive.setState({ denied: "" });
    this.tell({ do: "send", request });
  }

  /** Selects an order everywhere and asks for it. */
  select(order: { handle?: number; orderId?: string } | null): void {
    if (!order) {
      useLive.setState({ selected: null });
      return;
    }
    const { handle, orderId } = order;
    useLive.setState({ selected: { handle: handle ?? null, orderId: orderId ?? null, told: null, toldMs: NaN } });
    this.send(orderId === undefined ? { op: "order", handle } : { op: "order", order_id: orderId });
    this.drawAgain();
  }

  /** Handles are another's where a server began anew, and another time knows other values: asked again by its id. */
  private selectAgain(): void {
    const { selected } = useLive.getState();
    if (selected) this.select(selected.orderId === null ? null : { orderId: selected.orderId });
  }

  async list(): Promise<void> {
    try {
      useLive.setState({ markets: listed(await ask(address("level3/streams"))), marketsError: "" });
    } catch (error) {
      useLive.setState({ marketsError: (error as Error).message });
    }
  }

  /** From now on metrics are told, too: they cost the server, and a page that never shows them, nothing before. */
  wantMetrics(): void {
    if (this.wish && !this.wish.channels) this.reopen({ channels: [...CHANNELS, "metrics"] });
  }

  /** What was found in the market that is shown: up to now, or to an hour behind where its replay begins.  What a replay
   * finds later it is told of. */
  async loadFindings(): Promise<void> {
    const { wish } = this;
    if (!wish) return;
    try {
      const until = wish.source === "replay" && wish.at ? new Date(Date.parse(wish.at) + FINDINGS_BEHIND_MS).toISOString() : undefined;
      const found = await load(address("findings"), wish.exchange, wish.symbol, until);
      if (this.wish?.exchange !== wish.exchange || this.wish.symbol !== wish.symbol) return;
      this.data.takeFindings(found);
      useLive.setState({ findingsError: "" });
      this.turn();
      this.drawAgain();
    } catch (error) {
      useLive.setState({ findingsError: (error as Error).message });
    }
  }

  /** What was recorded of the market that is replayed, to be dragged through. */
  private async loadRecording(): Promise<void> {
    const { wish } = this;
    if (!wish) return;
    const found = await askRecording(wish.exchange, wish.symbol);
    if (this.wish?.source === "replay" && this.wish.exchange === wish.exchange && this.wish.symbol === wish.symbol && typeof found !== "string") {
      useLive.setState({ recording: found });
    }
  }

  drawAgain(): void {
    for (const draw of this.drawn) draw();
  }

  private heard(message: FromWorker): void {
    switch (message.say) {
      case "connection":
        // The worker opens what is shown anew.
        this.awaited ||= message.state === "open" && this.wish !== null;
        useLive.setState({ connection: message.state });
        break;
      case "meter":
        useLive.setState({ meter: message.meter });
        break;
      case "contrast":
        this.contrast(message.contrast);
        break;
      case "clear":
        this.data.clear();
        break;
      case "begin":
        this.data.begin();
        break;
      case "past":
        for (const column of message.columns) this.data.pyramid.past(message.level, column);
        this.drawAgain();
        break;
      case "told":
        this.told(message.told);
        break;
      case "update": {
        const { data } = this;
        data.take(message.update);
        if (message.update.columns.length) {
          const now = Date.now();
          const newest = message.update.columns.at(-1)!;
          const live = useLive.getState().opened?.source !== "replay";
          this.lag = live ? now - (newest.bucket + 1) * 100 : NaN;
          // Until an open is answered, what comes is of the picture before.
          if (!this.awaited) useLive.setState({ heardAt: now });
        }
        this.turn();
        this.drawAgain();
      }
    }
  }

  private told(told: Told): void {
    switch (told.op) {
      case "opened":
        this.awaited = false;
        this.data.priceScale = told.price_scale;
        this.data.sizeScale = told.size_scale;
        useLive.setState({ opened: told, refused: "" });
        this.selectAgain();
        void this.loadFindings();
        if (told.source === "replay") void this.loadRecording();
        else useLive.setState({ recording: null });
        break;
      case "status":
        useLive.setState({ status: told, statusAt: Date.now() });
        break;
      case "large":
        this.data.takeLarge(told);
        this.turn();
        this.drawAgain();
        break;
      case "finding":
        if (told.exchange === this.wish?.exchange && told.symbol === this.wish?.symbol) {
          this.data.takeFindings([told]);
          this.turn();
          this.drawAgain();
        }
        break;
      case "metrics":
        this.data.takeMetrics(told);
        this.turn();
        break;
      case "alert":
        useLive.setState(({ alerts, unseen, toasts }) => ({ alerts: merged(alerts, [told]), unseen: unseen + 1, toasts: [told, ...toasts].slice(0, TOASTS) }));
        if (useSettings.getState().sound) ring(told.side);
        break;
      case "order": {
        const { selected } = useLive.getState();
        const meant = selected && (selected.orderId === null ? selected.handle === told.handle : selected.orderId === told.order_id);
        if (meant) useLive.setState({ selected: { ...selected, told, toldMs: this.data.t_us / 1000, orderId: told.order_id ?? selected.orderId } });
        break;
      }
      case "clock":
        useLive.setState({ clock: told });
        break;
      case "refused":
        useLive.setState(this.awaited ? { refused: told.detail } : { denied: told.detail });
        this.awaited = false;
    }
  }

  /** Contrast follows what is seen only where it is clearly wrong: colours must not pump. */
  private contrast([low, high]: [number, number]): void {
    const settings = useSettings.getState();
    if (!settings.autoContrast) return;
    const shares = `${settings.lowShare} ${settings.highShare}`;
    const asked = shares !== this.shares;
    this.shares = shares;
    if (asked || Math.abs(low - settings.low) > 6 || Math.abs(high - settings.high) > 8) settings.set({ low, high });
  }

  private turn(): void {
    if (this.turning) return;
    this.turning = true;
    const wait = Math.max(0, this.waitedUntil + TURN_MS - Date.now());
    setTimeout(() => {
      this.turning = false;
      this.waitedUntil = Date.now();
      const { ladder, pyramid } = this.data;
      const { finest } = pyramid;
      const slot = finest.newest < 0 ? -1 : finest.slot(finest.newest);
      useLive.setState(({ turn }) => ({
        turn: turn + 1,
        lag: this.lag,
        bid: ladder.bids[0]?.price ?? NaN,
        ask: ladder.asks[0]?.price ?? NaN,
        last: slot < 0 ? NaN : finest.lasts[slot],
      }));
    }, wait);
  }
}
