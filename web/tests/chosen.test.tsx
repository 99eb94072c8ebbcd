import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it } from "vitest";
import { freePlace } from "../src/heat/marks";
import type { Palette } from "../src/heat/palette";
import { slices } from "../src/heat/trades";
import { MarketData } from "../src/market/data";
import type { Feed } from "../src/market/feed";
import { Pyramid } from "../src/market/pyramid";
import { Ring } from "../src/market/ring";
import { DEFAULTS, useSettings } from "../src/market/settings";
import { NOTHING, useLive } from "../src/market/state";
import { ordersOf } from "../src/panels/panes";
import { boxAddress, readAddress } from "../src/ui/address";
import { boxFile, Chosen, decimal, tradedWithin } from "../src/ui/Box";
import { Contrast, typedEnd } from "../src/ui/Contrast";
import type { Opened } from "../src/wire/messages";
import { contrastOf } from "../src/worker/histogram";

const OPENED = { op: "opened", exchange: "x", symbol: "A/B", source: "live", group: 5, groups: [1, 5], price_scale: 2, size_scale: 3, large: 1000, code_unit: 64, code_offset: 80, steps_per_octave: 12 } as unknown as Opened;
const PALETTE = { bid: "bid", ask: "ask", dim: "dim" } as Palette;
const BOX = { fromMs: Date.parse("2026-11-22T10:00:00.100Z"), toMs: Date.parse("2026-11-22T10:00:02Z"), low: 199, high: 201 };

afterEach(() => {
  cleanup();
  useLive.setState(NOTHING);
  useSettings.setState(DEFAULTS);
});

describe("an end of the contrast", () => {
  it("is typed as a size or as a share", () => {
    expect([typedEnd("12.5"), typedEnd(" 2k"), typedEnd("95%"), typedEnd("99.5 %"), typedEnd("p15")]).toEqual([{ size: 12.5 }, { size: 2000 }, { share: 0.95 }, { share: 0.995 }, { share: 0.15 }]);
    for (const wrong of ["", "much", "-1", "0", "101 %", "1e5"]) expect(typedEnd(wrong), wrong).toBeNull();
  });

  it("moves to what was typed, and says what it can't read", () => {
    useLive.setState({ opened: OPENED });
    render(<Contrast />);
    const [least, most] = [screen.getByLabelText("Smallest size of the colours"), screen.getByLabelText("Largest size of the colours")];
    fireEvent.change(least, { target: { value: "0.128" } });
    fireEvent.keyDown(least, { key: "Enter" });
    // Twice the unit is an octave above the offset.
    expect(useSettings.getState()).toMatchObject({ low: 92, autoContrast: false });
    fireEvent.change(most, { target: { value: "99 %" } });
    fireEvent.keyDown(most, { key: "Enter" });
    expect(useSettings.getState()).toMatchObject({ highShare: 0.99, autoContrast: true });
    fireEvent.change(most, { target: { value: "much" } });
    fireEvent.keyDown(most, { key: "Enter" });
    expect(most.getAttribute("aria-invalid")).toBe("true");
  });

  it("by share is that share of what is seen", () => {
    const pyramid = new Pyramid(100, Array(8).fill(8));
    pyramid.put(0, { bucket: 1000, base: 0, codes: Uint8Array.from({ length: 100 }, (_, row) => 100 + row), bid: NaN, ask: NaN, last: NaN });
    const window = { level: 0, fromBucket: 0, toBucket: 2000, fromRow: 0, toRow: 100 };
    expect(contrastOf(pyramid, { ...window, lowShare: 0.5, highShare: 0.9 })).toEqual([149, 189]);
  });
});

describe("a coarser column", () => {
  it("is the largest of each row, wherever its rows begin", () => {
    const random = (seed: number) => Uint8Array.from({ length: 16 }, (_, nth) => (nth * 37 + seed * 101) % 250);
    for (const shift of [0, 3, -5, 15, 16, 40]) {
      const ring = new Ring(100, 4, 16);
      const column = { bucket: 8, bid: NaN, ask: NaN, last: NaN };
      const [first, second] = [random(1), random(2)];
      ring.put({ ...column, base: 100, codes: first });
      ring.merge({ ...column, base: 100 + shift, codes: second });
      for (let nth = 0; nth < 16; nth++) {
        const before = first[nth + shift] ?? 0;
        expect(ring.sample(8, 100 + shift + nth), `${shift} ${nth}`).toBe(Math.max(before, second[nth]));
      }
    }
  });
});

describe("a tag", () => {
  it("covers no letter of a finding", () => {
    const glyphs = [{ x: 110, y: 50 }, { x: 130, y: 85 }];
    expect(freePlace(50, 300, 80, glyphs)).toBe(50);
    expect(freePlace(50, 100, 80, glyphs)).toBe(30);
    expect(freePlace(50, 100, 80, glyphs.slice(0, 1))).toBe(82);
  });
});

describe("the depth under the pointer", () => {
  it("is told order by order", () => {
    const data = new MarketData();
    data.sizeScale = 3;
    const shown = [1500, 200, 300, 400, 500].map((size, handle) => ({ handle, size }));
    data.queue.set("0:1000", { side: 0, price: 1000, orders: 42, shown });
    expect(ordersOf(data, 0, 1000)).toEqual(["1. 1.500", "2. 0.200", "3. 0.300", "4. 0.400", "+38"]);
    expect(ordersOf(data, 1, 1000)).toEqual([]);
  });
});

describe("a chosen stretch", () => {
  it("has a file and an address", () => {
    const file = new URL(boxFile(BOX, OPENED, "parquet"));
    expect(file.pathname).toMatch(/heatmap\/x\/A\/B\/box$/);
    expect(Object.fromEntries(file.searchParams)).toEqual({ start_time: "2026-11-22T10:00:00.100Z", end_time: "2026-11-22T10:00:02.000Z", min_price: "9.95", max_price: "10.05", format: "parquet" });
    expect(decimal(-123_456_789, 2)).toBe("-1234567.89");
    expect(readAddress(boxAddress(BOX, OPENED, true))).toMatchObject({ from: "2026-11-22T10:00:00.100Z", to: "2026-11-22T10:00:02.000Z", low: 199, high: 201, clip: true });
    expect(readAddress(boxAddress(BOX, OPENED, false)).clip).toBeUndefined();
  });

  it("has trades of an unknown taker on their own", () => {
    const data = new MarketData();
    [data.priceScale, data.sizeScale] = [2, 3];
    for (const side of [0, 1, 2]) data.trades.push({ t_us: BOX.fromMs * 1000, price: 1000, size: 100 * (side + 1), side });
    expect(tradedWithin(BOX, 5, data)).toEqual({ buys: 100, sells: 200, unknown: 300, count: 3 });
    useLive.setState({ opened: OPENED, box: BOX });
    render(<Chosen feed={{ data, wish: null } as unknown as Feed} chart={() => null} />);
    expect(screen.getByLabelText("Chosen stretch").textContent).toContain("0.100 bought, 0.200 sold, 0.300 of unknown taker");
    expect(slices([100, 200, 300], PALETTE)).toEqual([[1 / 6, "bid"], [1 / 3, "ask"], [1 / 2, "dim"]]);
    expect(slices([1, 999, 0], PALETTE)).toEqual([[1, "ask"]]);
  });

  it("is measured, and can be left", () => {
    const data = new MarketData();
    [data.priceScale, data.sizeScale] = [2, 3];
    const at = BOX.fromMs * 1000;
    for (const [nth, [t_us, price]] of [[at - 1, 1000], [at, 1000], [at + 5, 990], [at + 9, 1005], [BOX.toMs * 1000 + 1, 1000]].entries()) data.trades.push({ t_us, price, size: 100 + nth, side: nth % 2 });
    expect(tradedWithin(BOX, 5, data)).toEqual({ buys: 0, sells: 101 + 103, unknown: 0, count: 2 });
    useLive.setState({ opened: OPENED, box: BOX });
    render(<Chosen feed={{ data, wish: { exchange: "x", symbol: "A/B", source: "live" } } as unknown as Feed} chart={() => null} />);
    expect(screen.getByLabelText("Chosen stretch").textContent).toContain("2 trades: 0.000 bought, 0.204 sold");
    fireEvent.click(screen.getByLabelText("Close the chosen stretch"));
    expect(useLive.getState().box).toBeNull();
  });
});
