import { describe, expect, it } from "vitest";
import { table } from "../src/heat/colours";
import { placeIn } from "../src/heat/hover";
import { MarketData } from "../src/market/data";
import { peaksOf, refillsOf } from "../src/market/findings";
import { figure, readMetrics } from "../src/market/operations";
import { Pyramid } from "../src/market/pyramid";
import { readAddress } from "../src/ui/address";
import { says } from "../src/ui/AlertHistory";
import { pathOf, screenOf } from "../src/ui/screens";
import { KEY } from "../src/wire/frames";
import type { Finding } from "../src/wire/messages";
import { Decoder, flowCode } from "../src/worker/decoder";

const SCALE = { group: 10, code_offset: 80, steps_per_octave: 12, code_unit: 1 };

describe("what came less what was taken away", () => {
  const header = (seq: number, t_us: number, flags = 0) => ({ stream: 1, seq, t_us, epoch: 1, flags });
  const level = (price: number, size: number) => ({ price, size, orders: 1 });

  it("is a column of 100 ms, trades left out", () => {
    const decoder = new Decoder();
    decoder.scale = SCALE;
    decoder.take(header(0, 1_000_000, KEY), { type: "HeatKey", base_row: 0, lod: 0, bid: 1000, ask: 1010, last: null, codes: new Uint8Array(200) });
    decoder.take(header(1, 1_100_000, KEY), { type: "Ladder", bids: [level(1000, 50)], asks: [level(1010, 40)] });
    // 30 came to the bid; 16 of the ask went, 16 of them traded.
    decoder.take(header(2, 1_200_000), { type: "Ladder", bids: [level(1000, 80)], asks: [level(1010, 24)] });
    decoder.take(header(3, 1_200_000), { type: "Trades", trades: [{ price: 1010, size: 16, taker_side: 0, behind_us: 0 }] });
    // 64 of the bid are taken away in the next.
    decoder.take(header(4, 1_300_000), { type: "Ladder", bids: [level(1000, 16)], asks: [] });
    decoder.take(header(5, 1_400_000), { type: "Ladder", bids: [level(1000, 17)], asks: [] });
    const { flows } = decoder.flush()!;
    expect(flows.map(({ bucket }) => bucket)).toEqual([11, 12]);
    expect(flows[0].codes[100]).toBe(flowCode(30, SCALE));
    expect(flows[0].codes[101]).toBe(0);
    expect(flows[1].codes[100]).toBe(flowCode(-64, SCALE));
  });

  it("has nothing of trades whose taker is unknown", () => {
    const decoder = new Decoder();
    decoder.scale = SCALE;
    decoder.take(header(0, 1_000_000, KEY), { type: "HeatKey", base_row: 0, lod: 0, bid: 1000, ask: 1010, last: null, codes: new Uint8Array(200) });
    decoder.take(header(1, 1_100_000, KEY), { type: "Ladder", bids: [level(1000, 50)], asks: [level(1010, 40)] });
    decoder.take(header(2, 1_200_000), { type: "Trades", trades: [{ price: 1000, size: 16, taker_side: 2, behind_us: 0 }] });
    const { ladder, trades } = decoder.flush()!;
    expect([ladder!.bids[0].flow, ladder!.bids[0].traded, trades[0].side]).toEqual([0, 16, 2]);
  });

  it("has its direction in the last bit, and its size as others", () => {
    expect(flowCode(0, SCALE)).toBe(0);
    expect(flowCode(8, SCALE) & 1).toBe(1);
    expect(flowCode(-8, SCALE) & 1).toBe(0);
    expect(Math.abs(flowCode(-8, SCALE) - (80 + 36))).toBeLessThanOrEqual(1);
    expect(flowCode(2 ** 60, SCALE)).toBeLessThan(255);
    expect(flowCode(-(2 ** -60), SCALE)).toBeGreaterThan(0);
  });

  it("leaves out what the window's far end lets in and out", () => {
    const decoder = new Decoder();
    decoder.scale = SCALE;
    const bids = Array.from({ length: 200 }, (_, nth) => level(5000 - 10 * nth, 5));
    decoder.take(header(0, 1_000_000, KEY), { type: "HeatKey", base_row: 200, lod: 0, bid: 5000, ask: 5010, last: null, codes: new Uint8Array(400) });
    decoder.take(header(1, 1_100_000, KEY), { type: "Ladder", bids, asks: [] });
    decoder.take(header(2, 1_200_000), { type: "Ladder", bids: [level(5010, 7), { price: 3010, size: 0, orders: 0 }], asks: [] });
    decoder.take(header(3, 1_400_000), { type: "Ladder", bids: [level(5010, 8)], asks: [] });
    const [column] = decoder.flush()!.flows;
    expect([...column.codes].flatMap((code, row) => (code ? [row + 200] : []))).toEqual([501]);
  });

  it("is coloured by its direction", () => {
    const colours = table({ map: "flow", theme: "dark", low: 10, high: 200, dim: 1 });
    const rgb = (code: number) => [...colours.subarray(4 * code, 4 * code + 3)];
    const [added, taken] = [rgb(121), rgb(120)];
    expect(added[2]).toBeGreaterThan(added[0]);
    expect(taken[0]).toBeGreaterThan(taken[2]);
  });
});

describe("a scale", () => {
  it("may go with size instead of its logarithm, between the same ends", () => {
    const look = { map: "grey", theme: "dark", low: 20, high: 200, dim: 1 } as const;
    const bright = (linear: number, code: number) => table({ ...look, linear })[4 * code];
    expect(bright(12, 200)).toBe(bright(0, 200));
    expect(bright(12, 188)).toBeGreaterThan(bright(12, 200) * 0.4);
    expect(bright(12, 188)).toBeLessThan(bright(12, 200) * 0.6);
    expect(bright(0, 188)).toBeGreaterThan(bright(0, 200) * 0.85);
  });
});

describe("a replay that is played fast", () => {
  const column = (bucket: number) => ({ bucket, base: 0, codes: new Uint8Array(1024).fill(9), bid: 1, ask: 2, last: 1 });

  it("has no finer columns than it is sent, and is drawn with those", () => {
    const pyramid = new Pyramid();
    pyramid.put(3, column(1_700_000_000));
    expect(pyramid.finestLevel).toBe(3);
    expect(pyramid.finest.newest).toBe(1_700_000_000);
    expect(pyramid.levelAt(100)).toBe(3);
    pyramid.gap(17_000_000_010, 17_000_000_030);
    expect(pyramid.base.newest).toBe(-1);
    expect(pyramid.finest.sample(1_700_000_002, 3)).toBe(255);
  });
});

describe("screens", () => {
  it("have addresses, below whatever folder a proxy serves them from", () => {
    expect(screenOf("/alerts")).toBe("alerts");
    expect(screenOf("/far/away/status")).toBe("status");
    expect(screenOf("/")).toBeNull();
    expect(pathOf("/far/status", null)).toBe("/far/");
    expect(pathOf("/", "sessions")).toBe("/sessions");
    expect(pathOf("/", "help")).toBe("/");
  });

  it("take a stretch of time and prices from an address only where it is one", () => {
    const from = "2026-11-22T10:00:00.000Z";
    const to = "2026-11-22T10:05:00.000Z";
    expect(readAddress(`?from=${from}&to=${to}&low=5&high=9`)).toMatchObject({ from, to, low: 5, high: 9 });
    for (const wrong of [`?from=${to}&to=${from}`, "?from=noon&to=night", "?low=9&high=5", "?low=&high="]) {
      expect(readAddress(wrong)).toEqual({ exchange: undefined, symbol: undefined, group: undefined, at: undefined });
    }
  });

  it("find alerts by all of the words", () => {
    const alert = { id: "1", rule: "spread", exchange: "bitfinex", symbol: "BTC/USD", t: "", text: "the spread is 7 bps", order_id: null, side: null };
    expect(says(alert, "btc 7")).toBe(true);
    expect(says(alert, "btc 8")).toBe(false);
    expect(says(alert, "")).toBe(true);
  });
});

describe("what the server measured", () => {
  it("is read from its text, whatever stands in labels", () => {
    const measured = readMetrics('# HELP x\nordertape_gaps_total{exchange="b",reason="a \\"q\\", z",symbol="S"} 2.0\nordertape_gaps_total{exchange="b",reason="y",symbol="S"} 3\nordertape_ready 1.0\nnonsense');
    expect(figure(measured, "gaps_total", { exchange: "b", symbol: "S" })).toBe(5);
    expect(measured[0].labels.reason).toBe('a "q", z');
    expect(figure(measured, "ready")).toBe(1);
    expect(figure(measured, "unheard_of")).toBeNaN();
  });
});

describe("cards", () => {
  const finding = (kind: string, more: Partial<Finding>): Finding => ({
    id: "1", kind, side: "bid", phase: "detected", began: "2026-11-22T10:00:00Z", ended: "2026-11-22T10:00:01Z", told: "2026-11-22T10:00:01Z", told_sequence: 1,
    price_low: "1", price_high: "1", size: "6", filled: "4", score: 0.9, evidence: {}, against: {}, order_ids: [], orders: 1, phases: [], ...more,
  });

  it("say how an iceberg showed itself", () => {
    expect(refillsOf(finding("native iceberg", { evidence: { refreshed: 0.75 } }))).toBe(2);
    expect(refillsOf(finding("native iceberg", { evidence: { refreshed: 1 } }))).toBe(40);
    expect(refillsOf(finding("synthetic iceberg", { orders: 5 }))).toBe(4);
    expect(peaksOf(finding("native iceberg", { evidence: { refreshed: 0.75 } }))).toEqual(["peaks of about 2.00, shown anew 2 times", "at least 6.00 in all"]);
  });

  it("say where in its queue a large order stands", () => {
    const data = new MarketData();
    data.takeLarge({ op: "large", stream: 1, order_id: "a", handle: 3, side: "ask", price: "7", size: "5", size_first: "5", filled: "0", opened: "2026-11-22T10:00:00Z", era: 1 });
    data.queue.set("1:7", { side: 1, price: 7, orders: 4, shown: [{ handle: 1, size: 2 }, { handle: 2, size: 9 }, { handle: 3, size: 5 }] });
    expect(placeIn(data.large.get("a")!, data)).toEqual(["3. of 4 in its price, 11 ahead"]);
    data.queue.clear();
    expect(placeIn(data.large.get("a")!, data)).toEqual([]);
  });
});
