import { readFileSync } from "node:fs";
import { join } from "node:path";
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { merged } from "../src/market/alerts";
import { LARGE_KEPT, MarketData } from "../src/market/data";
import type { Feed } from "../src/market/feed";
import { listed } from "../src/market/markets";
import { digitsOf, exact, short, span } from "../src/market/numbers";
import { DEFAULTS, useSettings } from "../src/market/settings";
import { type Health, healthOf, type LiveState, NOTHING, useLive } from "../src/market/state";
import { linkTo, readAddress, writeAddress } from "../src/ui/address";
import { chosen } from "../src/ui/App";
import { Contrast } from "../src/ui/Contrast";
import { Footer } from "../src/ui/Footer";
import { Badge } from "../src/ui/Header";
import { onKey } from "../src/ui/keys";
import { Ladder } from "../src/ui/Panels";
import { lostMs, moment } from "../src/ui/Recordings";
import { fateOf, Tabs } from "../src/ui/Tabs";
import { GAP_CODE } from "../src/wire/frames";
import type { Large, Opened, Status } from "../src/wire/messages";
import { Connection } from "../src/worker/connection";
import { Decoder, FLOW_WINDOW_US, TRADED_KEPT } from "../src/worker/decoder";

const OPENED = { op: "opened", exchange: "x", symbol: "A/B", source: "live", group: 5, groups: [1, 5], price_scale: 2, size_scale: 3, large: 1000, code_unit: 64, code_offset: 80, steps_per_octave: 12 } as unknown as Opened;
const REPLAYED: Opened = { ...OPENED, source: "replay" };
const status = (state: string, age_ms = 0): Status => ({ op: "status", stream: 1, state, age_ms });
const LARGE: Large = { op: "large", stream: 1, order_id: "o1", handle: 1, side: "bid", price: "10.00", size: "2.000", size_first: "5.000", filled: "3.000", opened: "2026-11-22T10:00:00Z", ended: null, era: 1 };

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  useLive.setState(NOTHING);
  useSettings.setState(DEFAULTS);
});

describe("an address", () => {
  it("names a market, and a moment of its past", () => {
    expect(readAddress("?exchange=x&symbol=A%2FB&group=5&at=2026-11-22T10%3A00%3A00Z")).toEqual({ exchange: "x", symbol: "A/B", group: 5, at: "2026-11-22T10:00:00Z" });
    expect(readAddress("?at=yesterday&group=-1")).toEqual({});
    expect(writeAddress("?at=2026-11-22T10%3A00%3A00Z", OPENED, "2026-11-22T10:00:00Z")).not.toContain("at=");
    expect(readAddress(writeAddress("?at=2026-11-22T10%3A00%3A00Z", REPLAYED, "2026-11-22T11:00:00Z")).at).toBe("2026-11-22T11:00:00Z");
  });

  it("is the page's own, whatever lies over it", () => {
    history.replaceState(null, "", "/far/settings?renderer=canvas");
    expect(linkTo("?symbol=A")).toBe(`${location.origin}/far/?symbol=A`);
    history.replaceState(null, "", "/");
  });
});

describe("numbers for people", () => {
  it("are exact", () => {
    expect(exact(6429648735709, 8)).toBe("64\u2009296.48735709");
    expect(exact(-5, 2)).toBe("\u22120.05");
    expect(exact(4611686018427387904n, 8)).toBe("46\u2009116\u2009860\u2009184.27387904");
    expect(exact(1234, 0)).toBe("1\u2009234");
  });
  it("are short where they may be", () => {
    expect([short(0), short(0.0123), short(12.34), short(45_678), span(61_000)]).toEqual(["0", "0.012", "12.3", "45.7k", "1 min 1 s"]);
    expect(digitsOf(500, 4)).toBe(2);
  });
});

describe("a decoder", () => {
  const header = (seq: number, flags = 0) => ({ stream: 1, seq, epoch: 1, flags, t_us: 1_700_000_000_000_000 + seq * 100_000 });

  it("makes whole columns out of changes, and never changes one that it gave away", () => {
    const decoder = new Decoder();
    decoder.take(header(0, 1), { type: "HeatKey", base_row: 7, lod: 0, bid: 1, ask: null, last: null, codes: Uint8Array.of(1, 2, 3) });
    const first = decoder.flush()!.columns[0];
    decoder.take(header(1), { type: "HeatDelta", bid: 1, ask: 2, last: null, changed: [1, 9] });
    expect([...decoder.flush()!.columns[0].codes]).toEqual([1, 9, 3]);
    expect([...first.codes]).toEqual([1, 2, 3]);
    expect(first.ask).toBeNaN();
  });

  it("keeps a ladder sorted, says what was added, and forgets levels that are gone", () => {
    const decoder = new Decoder();
    const level = (price: number, size: number) => ({ price, size, orders: 1 });
    decoder.take(header(0, 1), { type: "Ladder", bids: [level(10, 5), level(9, 1)], asks: [level(11, 2)] });
    decoder.take(header(1), { type: "Ladder", bids: [level(9, 0), level(10, 8)], asks: [level(12, 4)] });
    const { bids, asks } = decoder.flush()!.ladder!;
    expect(bids.map(({ price, size, flow }) => [price, size, flow])).toEqual([[10, 8, 3]]);
    expect(asks.map(({ price }) => price)).toEqual([11, 12]);
  });

  it("asks for a key where a frame is missing and takes nothing until it comes", () => {
    const decoder = new Decoder();
    decoder.take(header(0, 1), { type: "Ladder", bids: [], asks: [] });
    expect(decoder.take(header(2), { type: "Trades", trades: [{ price: 1, size: 1, taker_side: 0, behind_us: 0 }] })).toBe("ask key");
    expect(decoder.flush()!.trades).toEqual([]);
  });

  it("keeps nothing of prices that nothing happens at any more", () => {
    const decoder = new Decoder();
    const kept = decoder as unknown as { flows: Map<number, unknown>; traded: Map<number, number> };
    const trade = (price: number) => ({ price, size: 1, taker_side: 0, behind_us: 0 });
    const trades = Array.from({ length: TRADED_KEPT + 5 }, (_, nth) => trade(100 + nth));
    decoder.take(header(0, 1), { type: "Ladder", bids: [], asks: [] });
    decoder.take(header(1), { type: "Trades", trades: [trade(7), ...trades.slice(0, -10), trade(7), ...trades.slice(-10)] });
    decoder.flush();
    expect([kept.traded.size, kept.traded.get(7), kept.traded.has(105)]).toEqual([TRADED_KEPT, 2, false]);
    decoder.take({ ...header(2), t_us: header(1).t_us + FLOW_WINDOW_US + 1 }, { type: "Trades", trades: [trade(8)] });
    decoder.flush();
    expect([...kept.flows.keys()]).toEqual([8]);
  });

  it("tells a gap until it is drawn whole: its frame says when it began", () => {
    const decoder = new Decoder();
    const data = new MarketData();
    const t = header(0).t_us;
    const key = { type: "HeatKey", base_row: 0, lod: 0, bid: null, ask: null, last: null, codes: new Uint8Array(1024) } as const;
    const take = (...gaps: [number, number][]): void => {
      for (const [nth, seconds] of gaps) decoder.take({ ...header(nth), t_us: t + 1e6 }, { type: "Gap", from_us: t + 1e6, to_us: seconds && t + seconds * 1e6, reason: "silence" });
      data.take(decoder.flush()!);
    };
    const hatched = (seconds: number): boolean => data.pyramid.base.sample(t / 1e5 + 10 * seconds, 5) === GAP_CODE;
    decoder.take(header(0, 1), key);
    decoder.take({ ...header(1), t_us: t + 3e6 }, { type: "Ladder", bids: [], asks: [] });
    take([2, 0]);
    expect([2, 4].map(hatched)).toEqual([true, false]);
    take([3, 8]);
    expect([2, 4].map(hatched)).toEqual([true, false]);
    decoder.take({ ...header(4), t_us: t + 9e6 }, { type: "Ladder", bids: [], asks: [] });
    take();
    expect([2, 4, 7.9, 8.1].map(hatched)).toEqual([true, true, true, false]);
    expect(data.gaps).toHaveLength(1);
    decoder.take({ ...header(5), t_us: t + 10e6 }, { type: "Ladder", bids: [], asks: [] });
    expect(decoder.flush()!.gaps).toEqual([]);
  });

  it("draws no column within a gap that goes on", () => {
    const decoder = new Decoder();
    decoder.take(header(0, 1), { type: "HeatKey", base_row: 0, lod: 0, bid: null, ask: null, last: null, codes: Uint8Array.of(1) });
    decoder.take(header(1), { type: "Gap", from_us: 1, to_us: 0, reason: "silence" });
    decoder.take(header(2), { type: "HeatDelta", bid: null, ask: null, last: null, changed: [] });
    const update = decoder.flush()!;
    expect([update.columns.length, update.gaps.length]).toEqual([1, 1]);
  });
});

describe("a connection", () => {
  it("comes back by itself, later each time", () => {
    vi.useFakeTimers();
    const made: { onclose?: () => void; readyState: number; close: () => void; send: () => void }[] = [];
    const states: string[] = [];
    const make = () => {
      const socket = { readyState: 0, close: () => {}, send: () => {} };
      made.push(socket);
      return socket as unknown as WebSocket;
    };
    const connection = new Connection("ws://x", () => {}, (state) => states.push(state), make);
    made[0].onclose?.();
    expect(states.at(-1)).toBe("waiting");
    vi.advanceTimersByTime(700);
    expect(made.length).toBe(2);
    made[1].onclose?.();
    vi.advanceTimersByTime(700);
    expect(made.length).toBe(2);
    vi.advanceTimersByTime(700);
    expect(made.length).toBe(3);
    connection.close();
  });
});

describe("health", () => {
  const state = { ...NOTHING, opened: OPENED, heardAt: 1_000 };
  it("comes from frames: a fresh one clears what was said about the connection", () => {
    expect(healthOf({ ...state, connection: "waiting" }, 1_500)).toBe("live");
    expect(healthOf(state, 4_000)).toBe("stale");
    expect(healthOf({ ...NOTHING, refused: "no" }, 0)).toBe("error");
    expect(healthOf({ ...state, connection: "open", opened: REPLAYED }, 9_100)).toBe("replay");
  });

  it.each([
    ["loading", NOTHING],
    ["loading", { ...NOTHING, connection: "open", opened: OPENED }],
    ["offline", { ...NOTHING, connection: "waiting" }],
    ["gap", { ...state, status: status("RESYNCING") }],
    ["stopped", { ...state, status: status("STOPPED") }],
    ["gap", { ...state, heardAt: 0, status: status("GAP"), statusAt: 1_000 }],
    ["stopped", { ...state, heardAt: 1, status: status("STOPPED"), statusAt: 1_000 }],
    ["stopped", { ...state, status: status("FAILED") }],
    ["stale", { ...state, status: status("STALE") }],
    ["live", { ...state, status: status("LIVE", 29_000) }],
    ["stale", { ...state, status: status("LIVE", 31_000) }],
    ["replay", { ...state, connection: "open", opened: REPLAYED, status: status("LIVE", 31_000) }],
    ["gap", { ...state, connection: "open", opened: REPLAYED, status: status("GAP") }],
    ["stopped", { ...state, connection: "open", opened: REPLAYED, status: status("STOPPED") }],
  ] as [Health, LiveState][])("is %s (%#)", (health, told) => expect(healthOf(told, 2_500)).toBe(health));

  it("of a replay is said beside it, and the ladder is no book then", () => {
    useLive.setState({ connection: "open", opened: REPLAYED, heardAt: 1, status: status("GAP") });
    const feed = { data: new MarketData(), drawn: new Set(), wish: null } as unknown as Feed;
    render(<><Badge /><Ladder feed={feed} /></>);
    expect(screen.getAllByRole("status")[0].textContent).toBe("REPLAYGAP");
    expect(screen.getByText("The book is not known")).toBeTruthy();
    act(() => useLive.setState({ status: status("LIVE") }));
    expect(screen.queryByText("The book is not known")).toBeNull();
  });
});

describe("what the page shows", () => {
  const feed = { data: new MarketData(), wish: null, select: vi.fn(), drawAgain: () => {}, reopen: vi.fn() } as unknown as Feed;

  it("lists large orders, and an id made of HTML is a text", () => {
    feed.data.priceScale = 2;
    feed.data.sizeScale = 3;
    feed.data.takeLarge({ ...LARGE, order_id: "<img src=x onerror=alert(1)>" });
    useLive.setState({ opened: OPENED, selected: { handle: 1, orderId: "<img src=x onerror=alert(1)>", told: null, toldMs: NaN } });
    useSettings.setState({ tab: "Order" });
    const { container } = render(<Tabs feed={feed} chart={() => null} show={() => undefined} />);
    expect(container.querySelector("img")).toBeNull();
    expect(screen.getByText("<img src=x onerror=alert(1)>")).toBeTruthy();
  });

  it("shows the newest that is known of an order, and of when it is where it isn't followed", () => {
    const order = { op: "order" as const, stream: 1, order_id: "o9", handle: 9, side: "bid" as const, price: "10.00", size: "8.000", orders_ahead: 3 };
    const toldMs = Date.parse("2026-11-22T10:00:01.250Z");
    useLive.setState({ opened: OPENED, selected: { handle: 9, orderId: "o9", told: order, toldMs } });
    useSettings.setState({ tab: "Order" });
    const value = (name: string): string | null | undefined => screen.queryByText(name)?.nextSibling?.textContent;
    render(<Tabs feed={feed} chart={() => null} show={() => undefined} />);
    expect([value("size now"), value("values of")]).toEqual(["8.000", "10:00:01.250"]);
    cleanup();
    feed.data.takeLarge({ ...LARGE, order_id: "o9", size: "1.000" });
    render(<Tabs feed={feed} chart={() => null} show={() => undefined} />);
    expect([value("size now"), value("orders ahead"), value("values of")]).toEqual(["1.000", "3", undefined]);
  });

  it("says what the server left out", () => {
    feed.data.takeLarge(LARGE);
    feed.data.trades.push({ t_us: 1, price: 1, size: 1, side: 0 });
    for (const [tab, words] of [["Large orders", /1,234 others came/], ["Trades", /56 trades were left out/]] as const) {
      useLive.setState({ opened: OPENED, status: { op: "status", stream: 1, state: "LIVE", large_not_followed: 1234, trades_left_out: 56 } });
      useSettings.setState({ tab });
      render(<Tabs feed={feed} chart={() => null} show={() => undefined} />);
      expect(screen.getByText(words)).toBeTruthy();
      cleanup();
    }
  });

  it("shows alerts newest first, each once, as texts, with rules in words", () => {
    const alert = { id: "a", rule: "gap", exchange: "x", symbol: "A/B", t: "2026-11-22T10:00:00Z", text: "<b>lost</b>" };
    const alerts = merged([alert], [{ ...alert, id: "b", t: "2026-11-22T11:00:00Z" }, alert]);
    expect(alerts.map(({ id }) => id)).toEqual(["b", "a"]);
    useLive.setState({ opened: OPENED, alerts, unseen: 2, rules: [{ id: 1, kind: "pulled_at_touch", exchange: "x", symbol: "A/B", quantile: 0.995, distance_bps: 5 }] });
    useSettings.setState({ tab: "Alerts" });
    const { container } = render(<Tabs feed={feed} chart={() => null} show={() => undefined} />);
    expect(container.querySelector(".words b")).toBeNull();
    expect(container.querySelectorAll(".words")).toHaveLength(2);
    expect(screen.getByText(/pulled near the touch, of the largest 0.5 %, within 5 bps/)).toBeTruthy();
    expect(useLive.getState().unseen).toBe(0);
  });

  it("reads an alert's frame as the server writes it", () => {
    const told = JSON.parse(readFileSync(join(import.meta.dirname, "../../tests/golden/page/alert.txt"), "utf8"));
    expect(told).toMatchObject({ op: "alert", rule: "pulled_at_touch", rule_id: 7, price: "64250.5", size: "12.5", order_id: "902", left_out: 3 });
    useLive.setState({ opened: OPENED, alerts: merged([], [told]) });
    useSettings.setState({ tab: "Alerts" });
    render(<Tabs feed={feed} chart={() => null} show={() => undefined} />);
    expect(screen.getByText(/large bid of 12.5 .* \(3 before it left out\)/)).toBeTruthy();
  });

  it("adds up what a recording has lost", () => {
    const gap = { from: "2026-11-22T10:00:00.5Z", to: "2026-11-22T10:00:02Z", reason: "a test" };
    expect(lostMs([gap, { ...gap, to: null }, gap])).toBe(3_000);
    expect([moment(gap.from), moment(null)]).toEqual(["2026-11-22 10:00:00", "–"]);
  });

  it("says what became of an order", () => {
    const data = new MarketData();
    data.takeLarge(LARGE);
    expect(fateOf(data.large.get("o1")!)).toBe("partly filled");
    data.takeLarge({ op: "large", stream: 1, order_id: "unknown", size: "1.000" });
    expect([...data.large.keys()]).toEqual(["o1"]);
    data.takeLarge({ op: "large", stream: 1, order_id: "o1", ended: "2026-11-22T10:00:01Z", ending: "told", reason: "canceled" });
    expect(data.large.get("o1")!.told).toMatchObject({ side: "bid", handle: 1, opened: LARGE.opened, reason: "canceled" });
    expect(fateOf(data.large.get("o1")!)).toBe("canceled, partly filled");
    data.takeLarge({ ...LARGE, ended: "2026-11-22T10:00:01Z", ending: "cut" });
    expect(fateOf(data.large.get("o1")!)).toBe("cut by a gap");
  });

  it("lets go of what ended first, and where nothing ended of what was told of first", () => {
    const data = new MarketData();
    for (let nth = 0; nth <= LARGE_KEPT; nth++) data.takeLarge({ ...LARGE, order_id: `${nth}` });
    expect([data.large.size, data.large.has("0"), data.large.has("1")]).toEqual([LARGE_KEPT, false, true]);
    data.takeLarge({ op: "large", stream: 1, order_id: "7", ended: "2026-11-22T10:00:01Z", ending: "told", reason: "canceled" });
    data.takeLarge({ ...LARGE, order_id: "one more" });
    expect([data.large.size, data.large.has("1"), data.large.has("7")]).toEqual([LARGE_KEPT, true, false]);
  });

  it("counts eras, and says what was refused as what it is", () => {
    useLive.setState({ opened: REPLAYED, status: { ...status("LIVE"), era: 3 }, denied: "there is no marker behind it" });
    const replaying = { ...feed, wish: { source: "replay" }, drawn: new Set() } as unknown as Feed;
    render(<Footer feed={replaying} chart={() => null} />);
    expect(screen.getByText("eras").nextSibling?.textContent).toBe("3");
    expect(screen.getByRole("alert").textContent).toBe("there is no marker behind it. Close");
    fireEvent.click(screen.getByText("Close"));
    expect(screen.queryByRole("alert")).toBeNull();
    act(() => useLive.setState({ refused: "no tape" }));
    expect(screen.getByRole("alert").textContent).toContain("Replay is not available: no tape");
  });

  it("moves contrast by keys and locks it then", () => {
    useLive.setState({ opened: OPENED });
    render(<Contrast />);
    fireEvent.keyDown(screen.getByLabelText("Contrast from"), { key: "ArrowRight" });
    expect(useSettings.getState()).toMatchObject({ low: DEFAULTS.low + 1, autoContrast: false });
  });

  it("does what keys say, and leaves fields alone", () => {
    const show = vi.fn();
    const context = { chart: null, feed, show };
    const press = (key: string, target: EventTarget = document.body) => {
      const event = new KeyboardEvent("keydown", { key, cancelable: true });
      Object.defineProperty(event, "target", { value: target });
      onKey(context, event);
    };
    press("k");
    press("b");
    press("?");
    press("h", document.createElement("input"));
    expect(useSettings.getState()).toMatchObject({ map: "viridis", bubbles: false, heat: true });
    expect(show).toHaveBeenCalledExactlyOnceWith("help");
    useLive.setState({ opened: OPENED });
    press("<");
    expect(feed.reopen).toHaveBeenCalledWith({ group: 1 });
  });

  it.each([
    ["e", false, { op: "step", by: "event" }],
    [".", false, { op: "step", by: "event" }],
    ["E", true, { op: "step", by: "1s" }],
    [",", false, undefined],
    ["[", false, { op: "play", speed: 1 }],
    ["]", false, { op: "play", speed: 4 }],
    ["n", false, { op: "marker", direction: "next" }],
    ["p", false, { op: "marker", direction: "previous" }],
    [" ", false, { op: "play", speed: 2 }],
  ])("in a replay asks the server at %s (Shift: %s) for %o", (key, shiftKey, wanted) => {
    useLive.setState({ opened: REPLAYED, clock: { op: "clock", t: "", speed: 2, playing: false, ended: false } });
    const send = vi.fn<Feed["send"]>();
    const replaying = { wish: { source: "replay" }, send } as unknown as Feed;
    const event = new KeyboardEvent("keydown", { key, shiftKey });
    Object.defineProperty(event, "target", { value: document.body });
    onKey({ chart: null, feed: replaying, show: () => undefined }, event);
    expect(send.mock.calls).toEqual(wanted ? [[wanted]] : []);
  });

  it("chooses the market of its address, else one that runs", () => {
    const markets = listed({ streams: [{ symbol: "A/B", exchanges: ["x"], is_active: false }, { symbol: "C", exchanges: ["y"], is_active: true }] });
    expect(chosen(markets)?.symbol).toBe("C");
    expect(chosen(markets, "x", "A/B")?.symbol).toBe("A/B");
    expect(chosen(markets, "x")?.symbol).toBe("A/B");
    expect([chosen(markets, "y", "A/B"), chosen(markets, undefined, "D")]).toEqual([undefined, undefined]);
    const address = writeAddress("?renderer=canvas", OPENED);
    expect(readAddress(address)).toEqual({ exchange: "x", symbol: "A/B", group: 5 });
    expect(address).toContain("renderer=canvas");
  });
});
