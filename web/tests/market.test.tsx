import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { merged } from "../src/market/alerts";
import { MarketData } from "../src/market/data";
import { listed, type Feed } from "../src/market/feed";
import { digitsOf, exact, short, span } from "../src/market/numbers";
import { DEFAULTS, useSettings } from "../src/market/settings";
import { healthOf, NOTHING, useLive } from "../src/market/state";
import { readAddress, writeAddress } from "../src/ui/address";
import { chosen } from "../src/ui/App";
import { Contrast } from "../src/ui/Contrast";
import { onKey } from "../src/ui/keys";
import { lostMs, moment } from "../src/ui/Recordings";
import { fateOf, Tabs } from "../src/ui/Tabs";
import type { Large, Opened } from "../src/wire/messages";
import { Connection } from "../src/worker/connection";
import { Decoder } from "../src/worker/decoder";

const OPENED = { op: "opened", exchange: "x", symbol: "A/B", source: "live", group: 5, groups: [1, 5], price_scale: 2, size_scale: 3, large: 1000, code_unit: 64, code_offset: 80, steps_per_octave: 12 } as unknown as Opened;
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
    expect(writeAddress("?at=2026-11-22T10%3A00%3A00Z", OPENED)).not.toContain("at=");
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
    expect(healthOf({ ...state, connection: "open", opened: { ...OPENED, source: "replay" } }, 9_100)).toBe("replay");
  });
});

describe("what the page shows", () => {
  const feed = { data: new MarketData(), wish: null, select: vi.fn(), drawAgain: () => {}, reopen: vi.fn() } as unknown as Feed;

  it("lists large orders, and an id made of HTML is a text", () => {
    feed.data.priceScale = 2;
    feed.data.sizeScale = 3;
    feed.data.takeLarge({ ...LARGE, order_id: "<img src=x onerror=alert(1)>" });
    useLive.setState({ opened: OPENED, selected: { handle: 1, orderId: "<img src=x onerror=alert(1)>", told: null, askedAt: 0 } });
    useSettings.setState({ tab: "Order" });
    const { container } = render(<Tabs feed={feed} chart={() => null} show={() => undefined} />);
    expect(container.querySelector("img")).toBeNull();
    expect(screen.getByText("<img src=x onerror=alert(1)>")).toBeTruthy();
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

  it("chooses the market of its address, else one that runs", () => {
    const markets = listed({ streams: [{ symbol: "A/B", exchanges: ["x"], is_active: false }, { symbol: "C", exchanges: ["y"], is_active: true }] });
    expect(chosen(markets).symbol).toBe("C");
    expect(chosen(markets, "x", "A/B").symbol).toBe("A/B");
    const address = writeAddress("?renderer=canvas", OPENED);
    expect(readAddress(address)).toEqual({ exchange: "x", symbol: "A/B", group: 5 });
    expect(address).toContain("renderer=canvas");
  });
});
