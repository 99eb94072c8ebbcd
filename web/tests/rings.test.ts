import { describe, expect, it } from "vitest";
import { paint } from "../src/heat/canvas";
import { table, type Look } from "../src/heat/colours";
import { Camera } from "../src/heat/camera";
import { Pyramid } from "../src/market/pyramid";
import { modulo, NOTHING_KNOWN, Ring } from "../src/market/ring";
import { Series } from "../src/market/series";
import { Trades, TRADES_KEPT } from "../src/market/trades";
import { GAP_CODE } from "../src/wire/frames";
import { contrastOf } from "../src/worker/histogram";

const LOOK: Look = { map: "heat", theme: "dark", low: 20, high: 200, dim: 1 };
const column = (bucket: number, base: number, codes: number[] | Uint8Array) => ({ bucket, base, codes: Uint8Array.from(codes), bid: base, ask: base + 1, last: base });

describe("a ring", () => {
  it("gives back what was put, across the wrap of rows and of buckets", () => {
    const ring = new Ring(100, 4, 8);
    for (let bucket = 0; bucket < 11; bucket++) {
      const base = 1_000_003 + 3 * bucket;
      ring.put(column(bucket, base, [1, 2, 3, 4, 5, 6, 7, 8].map((code) => code + bucket)));
      for (let row = 0; row < 8; row++) expect(ring.sample(bucket, base + row)).toBe(1 + row + bucket);
      expect(ring.sample(bucket, base - 1)).toBe(NOTHING_KNOWN);
    }
    expect(ring.sample(5, 1_000_018)).toBe(NOTHING_KNOWN);
    expect([ring.oldest, ring.newest]).toEqual([7, 10]);
  });

  it("keeps the newer of two buckets that share a slot", () => {
    const ring = new Ring(100, 4, 2);
    ring.put(column(9, 0, [9, 9]));
    expect(ring.put(column(5, 0, [5, 5]))).toBe(-1);
    expect(ring.sample(9, 0)).toBe(9);
  });

  it("knows no row that a column does not carry", () => {
    const ring = new Ring(100, 4, 8);
    ring.put(column(1, 100, [9, 9, 9, 9, 9, 9, 9, 9]));
    ring.put(column(5, 102, [1, 0, 3]));
    expect([101, 102, 103, 104, 105].map((row) => ring.sample(5, row))).toEqual([NOTHING_KNOWN, 1, 0, 3, NOTHING_KNOWN]);
    ring.merge(column(5, 100, [5, 5, 2]));
    expect([100, 101, 102, 103, 104, 105].map((row) => ring.sample(5, row))).toEqual([5, 5, 2, 0, 3, NOTHING_KNOWN]);
    ring.merge(column(5, 106, [8, 8]));
    expect([104, 105, 106, 107, 108].map((row) => ring.sample(5, row))).toEqual([NOTHING_KNOWN, NOTHING_KNOWN, 8, 8, NOTHING_KNOWN]);
    ring.merge(column(5, 0, []));
    expect([...ring.column(5).codes]).toEqual([8, 8]);
  });

  it("counts rows below zero, too", () => {
    expect(modulo(-3, 8)).toBe(5);
    const ring = new Ring(100, 4, 8);
    ring.put(column(1, -5, [1, 2, 3, 4, 5, 6, 7, 8]));
    expect(ring.sample(1, -5)).toBe(1);
    expect(ring.sample(1, 2)).toBe(8);
  });
});

describe("a pyramid", () => {
  it("holds the maximum of each coarse bucket, also where the window moved within it", () => {
    const pyramid = new Pyramid(8, Array(8).fill(64));
    const fine = new Map<string, number>();
    for (let bucket = 1000; bucket < 1040; bucket++) {
      const base = 50 + (bucket % 7 === 0 ? 1 : 0);
      const codes = Array.from({ length: 8 }, (_, row) => (bucket * 37 + row * 11) % 200);
      pyramid.put(0, column(bucket, base, codes));
      codes.forEach((code, row) => fine.set(`${bucket}:${base + row}`, code));
    }
    const ring = pyramid.rings[3];
    for (let coarse = 100; coarse < 104; coarse++) {
      for (let row = 52; row < 57; row++) {
        const most = Math.max(...Array.from({ length: 10 }, (_, nth) => fine.get(`${coarse * 10 + nth}:${row}`) ?? 0));
        expect(ring.sample(coarse, row)).toBe(most);
      }
    }
  });

  it("says of a gap that nothing is known, on all levels", () => {
    const pyramid = new Pyramid(8, Array(8).fill(64));
    pyramid.put(0, column(100, 5, [1, 1, 1, 1, 1, 1, 1, 1]));
    pyramid.gap(101, 104);
    expect(pyramid.base.sample(102, 6)).toBe(GAP_CODE);
    expect(pyramid.rings[3].sample(10, 6)).toBe(GAP_CODE);
  });

  it("hatches as far back as each level reaches, and no bucket wholly known", () => {
    const pyramid = new Pyramid(8, Array(8).fill(64));
    pyramid.put(0, column(100_000, 5, Array(8).fill(1)));
    pyramid.gap(100_001, 118_000);
    const ring = pyramid.rings[7];
    expect([pyramid.base.newest, ring.newest]).toEqual([117_999, 196]);
    for (let bucket = 167; bucket < 197; bucket++) expect(ring.sample(bucket, 6), String(bucket)).toBe(GAP_CODE);
    expect(ring.sample(166, 6)).toBe(GAP_CODE);
    expect(ring.sample(165, 6)).toBe(NOTHING_KNOWN);
  });

  it("loses a hatch that the recording fills, and keeps it where a part stays unknown", () => {
    const pyramid = new Pyramid(8, Array(8).fill(64));
    const known = (bucket: number, code = 7) => column(bucket, 5, Array(8).fill(code));
    pyramid.put(0, known(100));
    pyramid.gap(101, 135);
    pyramid.put(0, known(135));
    // Of 11.0 s to 11.9 s all but one bucket are in the recording.
    for (let bucket = 134; bucket > 100; bucket--) if (bucket !== 114) pyramid.past(0, known(bucket, bucket));
    const seconds = pyramid.rings[3];
    expect([10, 11, 12, 13].map((bucket) => seconds.sample(bucket, 6))).toEqual([109, GAP_CODE, 129, 134]);
    expect(pyramid.rings[1].sample(57, 6)).toBe(GAP_CODE);
    pyramid.past(0, known(114));
    expect(seconds.sample(11, 6)).toBe(119);
    // A coarser tile brings one of its own.
    pyramid.gap(136, 200);
    pyramid.put(0, known(200));
    for (let bucket = 13; bucket < 20; bucket++) pyramid.past(3, known(bucket));
    expect([seconds.sample(15, 6), pyramid.rings[4].sample(7, 6), pyramid.base.sample(150, 6)]).toEqual([7, 7, GAP_CODE]);
  });

  it("looks at no more buckets a pixel than the renderers can", () => {
    for (let ms = 4; ms < 120_000; ms *= 1.07) {
      const level = Pyramid.levelFor(ms);
      expect(ms / [100, 200, 500, 1000, 2000, 5000, 15_000, 60_000][level]).toBeLessThanOrEqual(level < 7 ? 3.01 : 8);
    }
  });
});

describe("pixels", () => {
  const pyramid = new Pyramid(16, Array(8).fill(32));
  for (let bucket = 500; bucket < 560; bucket++) {
    pyramid.put(0, column(bucket, 90 + ((bucket - 500) >> 4), Array.from({ length: 16 }, (_, row) => (bucket * 31 + row * 17) % 254)));
  }
  pyramid.gap(545, 548);

  it.each([[100, 1], [25, 0.25], [250, 2], [170, 1.4]])("at %d ms and %d rows a pixel are what a plain look says", (msPerPixel, rowsPerPixel) => {
    const [width, height] = [24, 14];
    const view = { level: 0, fromMs: 53_050, msPerPixel, topRow: 107.5, rowsPerPixel, group: 1 };
    const out = new Uint8ClampedArray(width * height * 4);
    paint(out, width, height, pyramid, view, LOOK);
    const colours = table(LOOK);
    let compared = 0;
    for (let x = 0; x < width; x++) {
      for (let y = 0; y < height; y++) {
        const first = view.fromMs / 100 + x * (msPerPixel / 100);
        const buckets = msPerPixel <= 100 ? [Math.floor(view.fromMs / 100 + (x + 0.5) * (msPerPixel / 100))] : range(Math.floor(first), Math.floor(first + msPerPixel / 100));
        const low = view.topRow - (y + 1) * rowsPerPixel;
        const rows = rowsPerPixel <= 1 ? [Math.floor(view.topRow - (y + 0.5) * rowsPerPixel)] : range(Math.floor(low), Math.floor(view.topRow - y * rowsPerPixel));
        const code = Math.max(...buckets.flatMap((bucket) => rows.map((row) => pyramid.base.sample(bucket, row))));
        if (code < 0 || code === GAP_CODE) continue;
        expect([...out.subarray((y * width + x) * 4, (y * width + x) * 4 + 3)]).toEqual([...colours.subarray(code * 4, code * 4 + 3)]);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(60);
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(1, to - from) }, (_, nth) => from + nth);
}

describe("a camera", () => {
  const camera = (): Camera => Object.assign(new Camera(), { width: 800, height: 400, spot: { rightMs: 1e12, msPerPixel: 100, row: 5000, pixelsPerRow: 2 } });

  it("leaves what is under the pointer there while it zooms", () => {
    const seen = camera();
    seen.followTime = false;
    const [ms, row] = [seen.ms(300), seen.row(120)];
    seen.zoomTime(1.7, 300);
    seen.zoomPrice(0.6, 120);
    expect(seen.x(ms)).toBeCloseTo(300, 3);
    expect(seen.y(row)).toBeCloseTo(120, 6);
  });

  it("re-centres softly, and only beyond a quarter", () => {
    const seen = camera();
    seen.follow(1e12, 5040);
    expect(seen.spot.row).toBe(5000);
    seen.follow(1e12, 5060);
    expect(seen.spot.row).toBe(5060);
  });

  it("goes back to where it was before a box", () => {
    const seen = camera();
    seen.box(100, 100, 500, 300);
    expect(seen.spot.msPerPixel).toBeCloseTo(50, 6);
    expect(seen.back()).toBe(true);
    expect(seen.spot.msPerPixel).toBe(100);
    expect(seen.back()).toBe(false);
  });
});

describe("trades", () => {
  it("are kept exact, found by time, and no more than there is room for", () => {
    const trades = new Trades();
    const beyond = 2n ** 60n + 1n;
    for (let nth = 0; nth < 2 * TRADES_KEPT; nth++) trades.push({ t_us: 10 * nth, price: nth, size: beyond, side: nth % 3 });
    expect(trades.length).toBeGreaterThanOrEqual(TRADES_KEPT);
    expect(trades.length).toBeLessThanOrEqual(1.2 * TRADES_KEPT);
    const newest = 2 * TRADES_KEPT - 1;
    expect(trades.newest(2)).toEqual([newest, newest - 1].map((nth) => ({ t_us: 10 * nth, price: nth, size: beyond, side: nth % 3 })));
    expect(trades.price[trades.firstSince(10 * newest - 15)]).toBe(newest - 1);
    expect([trades.firstSince(0), trades.firstSince(1e9)]).toEqual([0, trades.length]);
    trades.clear();
    expect(trades.newest(5)).toEqual([]);
  });
});

describe("a series", () => {
  it("has one value a second, the newest so many", () => {
    const series = new Series();
    expect(series.newest).toBe(0);
    for (let second = 0; second < 20_000; second++) {
      series.set(1_000 * second, 1);
      series.set(1_000 * second, series.newest + second);
    }
    expect(series.newest).toBe(20_000);
    expect(series.within(19_998_000, 1e9)).toEqual([{ ms: 19_998_000, value: 19_999 }, { ms: 19_999_000, value: 20_000 }]);
    const kept = series.within(0, 1e9);
    expect(kept.length).toBeGreaterThanOrEqual(7_000);
    expect(kept.length).toBeLessThanOrEqual(8_000);
  });
});

describe("contrast", () => {
  it("runs from the common to the rare among what is seen", () => {
    const pyramid = new Pyramid(64, Array(8).fill(64));
    for (let bucket = 0; bucket < 40; bucket++) pyramid.put(0, column(1000 + bucket, 0, Array.from({ length: 64 }, (_, row) => 100 + row)));
    expect(contrastOf(pyramid, { level: 0, fromBucket: 0, toBucket: 2000, fromRow: 0, toRow: 64 })).toEqual([109, 163]);
    expect(contrastOf(pyramid, { level: 0, fromBucket: 0, toBucket: 10, fromRow: 0, toRow: 64 })).toBeNull();
  });
});
