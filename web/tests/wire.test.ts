import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Follows } from "../src/wire/follows";
import { decode, FrameError, type Content } from "../src/wire/frames";
import { Past, type PastColumn, readTile } from "../src/wire/tiles";
import { add, Cursor, narrow, subtract } from "../src/wire/numbers";

const GOLDEN = join(import.meta.dirname, "../../tests/golden/page");
const NULL = "-9223372036854775808";

/** As the server's own test writes them: numbers beyond 2^53 as texts. */
function asTold(content: Content): Record<string, unknown> {
  const number = (value: unknown): unknown => (value === null ? NULL : typeof value === "bigint" ? String(value) : value);
  const { type: _, ...rest } = content as unknown as Record<string, unknown>;
  if (content.type === "HeatKey") rest.codes = [...content.codes];
  if (content.type === "HeatDelta") {
    rest.codes = [];
    for (let nth = 0; nth < content.changed.length; nth += 2) (rest.codes as unknown[]).push(content.changed.slice(nth, nth + 2));
    delete rest.changed;
  }
  if (content.type === "Queue") {
    rest.levels = content.levels.map((level) => ({ ...level, shown: level.shown.map(({ handle, size }) => [handle, size]) }));
  }
  return JSON.parse(JSON.stringify(rest, (_key, value) => number(value)));
}

const HEADER_BYTES = 24;

describe("frames", () => {
  const names = readdirSync(GOLDEN).filter((name) => name.endsWith(".bin"));

  it("has bytes to agree on", () => expect(names.length).toBeGreaterThanOrEqual(9));

  it.each(names)("reads %s as the server meant it", (name) => {
    const meant = JSON.parse(readFileSync(join(GOLDEN, name.replace(".bin", ".json")), "utf8"));
    const { header, content } = decode(new Uint8Array(readFileSync(join(GOLDEN, name))));
    expect(content.type).toBe(meant.type);
    expect(header).toEqual(meant.header);
    expect(asTold(content)).toEqual(meant.content);
  });

  it.each(names)("refuses %s cut in its head, and cut anywhere else, or reads a shorter one", (name) => {
    const whole = new Uint8Array(readFileSync(join(GOLDEN, name)));
    for (let length = 0; length < HEADER_BYTES; length++) {
      expect(() => decode(whole.subarray(0, length))).toThrow(FrameError);
    }
    for (let length = HEADER_BYTES; length < whole.length; length++) {
      try {
        decode(whole.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
      }
    }
  });

  it("refuses another version in one sentence", () => {
    const frame = new Uint8Array(24);
    frame[0] = 9;
    expect(() => decode(frame)).toThrow("expected a frame of version 1, found 9, type 0");
  });
});

describe("numbers", () => {
  it("stay exact beyond 2^53", () => {
    expect(add(Number.MAX_SAFE_INTEGER, 2)).toBe(9007199254740993n);
    expect(subtract(9007199254740993n, 2)).toBe(Number.MAX_SAFE_INTEGER);
    expect(narrow(-5n)).toBe(-5);
  });

  it("reads zigzags of both signs and all lengths", () => {
    for (const value of [0n, -1n, 1n, 63n, -64n, 300n, -(2n ** 40n), 2n ** 53n + 1n, -(2n ** 62n)]) {
      let rest = value < 0n ? -value * 2n - 1n : value * 2n;
      const bytes: number[] = [];
      do {
        bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
        rest >>= 7n;
      } while (rest > 0n);
      expect(BigInt(new Cursor(new Uint8Array(bytes)).zigzag())).toBe(value);
    }
  });

  it("refuses a number that never ends", () => {
    expect(() => new Cursor(new Uint8Array(12).fill(0xff)).varint()).toThrow(RangeError);
  });
});

describe("what follows what", () => {
  const header = (epoch: number, seq: number, flags = 0) => ({ stream: 1, epoch, seq, flags, t_us: 1 });

  it("takes frames in order and asks once where one is missing", () => {
    const follows = new Follows();
    expect(follows.judge(header(1, 0, 1))).toBe("begin");
    expect(follows.judge(header(1, 1))).toBe("take");
    expect(follows.judge(header(1, 3))).toBe("lost");
    expect(follows.judge(header(1, 4))).toBe("old");
    expect(follows.judge(header(2, 0, 1))).toBe("begin");
    expect(follows.judge(header(1, 5))).toBe("old");
    expect(follows.judge(header(2, 1))).toBe("take");
  });

  it("begins no epoch in its middle", () => {
    const follows = new Follows();
    expect(follows.judge(header(4, 7))).toBe("lost");
    expect(follows.judge(header(5, 0, 1))).toBe("begin");
  });
});

describe("tiles", () => {
  it("are cut to the window and brought to the scale of the picture", () => {
    const [columns, rows] = [4, 3];
    const bytes = new Uint8Array(48 + columns * (24 + rows));
    const view = new DataView(bytes.buffer);
    bytes[0] = 1;
    view.setUint16(2, columns, true);
    view.setUint32(4, rows, true);
    view.setBigInt64(8, 100n, true);
    view.setFloat32(32, 80, true);
    view.setFloat32(36, 12, true);
    view.setBigInt64(40, 128n, true);
    for (let nth = 0; nth < 3 * columns; nth++) view.setBigInt64(48 + 8 * nth, nth === 1 ? -(2n ** 63n) : BigInt(nth), true);
    bytes.set([255, 255, 255, 7, 0, 9, 255, 255, 255, 1, 2, 3], 48 + 24 * columns);
    const found = readTile(bytes, 10, { code_unit: 64 }, 101);
    expect(found.map(({ bucket, known }) => [bucket, known])).toEqual([[5120, false], [5121, true], [5122, false], [5123, true]]);
    // Row 103 is above what the tile knows.
    expect([found[1].base, ...found[1].codes]).toEqual([101, 0, 21]);
    expect([found[2].base, found[2].codes.length]).toEqual([101, 1024]);
    const below = readTile(bytes, 10, { code_unit: 64 }, 99)[1];
    expect([below.base, ...below.codes]).toEqual([100, 19, 0, 21]);
    expect(readTile(bytes, 10, { code_unit: 64 }, 5_000)[1].codes).toHaveLength(0);
    expect(new Set(found[2].codes)).toEqual(new Set([255]));
    expect(found[1].bid).toBeNaN();
    expect(found[3].ask).toBe(7);
  });

  it("show a gap across tiles, and nothing before the first that is known", () => {
    const tile = (from: number, known: string): PastColumn[] =>
      [...known].map((mark, nth) => ({ known: mark === "x", bucket: from + nth, base: 0, codes: new Uint8Array(0), bid: NaN, ask: NaN, last: NaN }));
    const past = new Past();
    const shown = (from: number, known: string): number[] => past.take(tile(from, known), 22, 22).map(({ bucket }) => bucket);
    expect(shown(20, "..xx")).toEqual([22]);
    expect(shown(10, "....")).toEqual([]);
    expect(shown(4, ".x.x.").sort((a, b) => a - b)).toEqual([5, 6, 7, 8, 10, 11, 12, 13, 20, 21]);
  });
});
