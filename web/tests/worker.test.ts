import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MarketData } from "../src/market/data";
import { KEY } from "../src/wire/frames";
import type { Large, LargeTold } from "../src/wire/messages";
import type { FromWorker, ToWorker } from "../src/worker/protocol";

const OPENED = { op: "opened", stream: 1, exchange: "x", symbol: "A/B", source: "live", group: 1, min_size: 0, epoch: 1, price_scale: 2, size_scale: 3, large: 1000, code_unit: 64, code_offset: 80, steps_per_octave: 12 };
const LARGE: Large = { op: "large", stream: 1, order_id: "o1", handle: 1, side: "bid", price: "10.00", size: "2", size_first: "5", filled: "3", opened: "2026-11-22T10:00:00Z", era: 1 };
const T_US = 1_700_000_000_000_000;

/** A frame of heat of one row, as the server writes it. */
function heat(epoch: number, seq: number, t_us = T_US): ArrayBuffer {
  const key = seq === 0;
  const bytes = new Uint8Array(24 + (key ? 41 : 24));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 1);
  view.setUint8(1, key ? 1 : 2);
  view.setUint16(2, 1, true);
  view.setUint32(4, seq, true);
  view.setBigUint64(8, BigInt(t_us), true);
  view.setUint32(16, epoch, true);
  view.setUint32(20, key ? KEY : 0, true);
  if (key) view.setUint32(32, 1, true);
  return bytes.buffer;
}

class Socket {
  static all: Socket[] = [];
  readyState = 1;
  sent: Record<string, unknown>[] = [];
  onopen: () => void = () => {};
  onmessage: (event: { data: unknown }) => void = () => {};
  onclose: () => void = () => {};

  constructor() {
    Socket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {}

  tell(...told: (object | ArrayBuffer)[]): void {
    for (const each of told) this.onmessage({ data: each instanceof ArrayBuffer ? each : JSON.stringify(each) });
  }
}

let said: FromWorker[] = [];
let socket: Socket;

/** The worker itself, with sockets of our own. */
async function start(wish: object = { exchange: "x", symbol: "A/B", source: "live" }): Promise<void> {
  await import("../src/worker/worker");
  ask({ do: "connect", url: "ws://x/page/ws" });
  socket = Socket.all[0];
  socket.onopen();
  ask({ do: "open", wish } as ToWorker);
}

function ask(message: ToWorker): void {
  (self.onmessage as (event: unknown) => void)({ data: message });
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.resetModules();
  said = [];
  Socket.all = [];
  vi.stubGlobal("WebSocket", Socket);
  vi.stubGlobal("postMessage", (message: FromWorker) => said.push(message));
  // Without a body that takes time of its own to be read.
  vi.stubGlobal("fetch", vi.fn(async () => ({ ok: false, status: 404, json: async () => ({}) })));
});

afterEach(async () => {
  vi.clearAllTimers();
  vi.useRealTimers();
  await new Promise((done) => setTimeout(done)); // whatever was asked for has been answered
  vi.unstubAllGlobals();
});

describe("an epoch", () => {
  it("is told to have begun between what was before it and what stands in it", async () => {
    await start();
    const cut = { op: "large", stream: 1, order_id: "o0", ended: "2026-11-22T10:00:01Z", ending: "cut" };
    socket.tell(OPENED, heat(1, 0), LARGE, cut, heat(2, 0), LARGE, heat(2, 1, T_US + 100_000));
    const order = said.flatMap((each) => (each.say === "told" ? [each.told.op] : each.say === "begin" ? ["begin"] : []));
    expect(order).toEqual(["opened", "begin", "large", "large", "begin", "large"]);
  });

  it("leaves orders that are not told again behind, and keeps how the others moved and ended", () => {
    const data = new MarketData();
    const tell = (more: Partial<Large>): void => data.takeLarge({ ...LARGE, ...more } as LargeTold);
    tell({});
    data.takeLarge({ op: "large", stream: 1, order_id: "o1", price: "10.50" });
    tell({ order_id: "ghost" });
    tell({ order_id: "cut" });
    // How orders of the era before ended is told before the next era's first frame.
    data.takeLarge({ op: "large", stream: 1, order_id: "cut", ended: "2026-11-22T10:00:01Z", ending: "cut" });
    data.begin();
    expect([...data.large.keys()]).toEqual(["cut"]);
    data.takeLarge({ op: "large", stream: 1, order_id: "ghost", size: "1" });
    tell({ price: "10.50" });
    expect([...data.large.keys()]).toEqual(["cut", "o1"]);
    expect(data.large.get("o1")!.moves).toHaveLength(1);
    expect(data.large.get("cut")!.told.ending).toBe("cut");
  });

  it("ends a gap that is not told again", () => {
    const data = new MarketData();
    data.t_us = 9;
    data.gaps = [{ from_us: 5, to_us: 0, reason: "silence" }];
    data.begin();
    expect(data.gaps).toEqual([{ from_us: 5, to_us: 9, reason: "silence" }]);
  });
});

describe("a connection", () => {
  const clock = (t: string, playing = false) => ({ op: "clock", t, speed: 4, playing, ended: false });

  it("goes on where the replay stood, and is not lost while it stands", async () => {
    await start({ exchange: "x", symbol: "A/B", source: "replay", at: "2026-11-22T10:00:00Z" });
    socket.tell({ ...OPENED, source: "replay" }, heat(1, 0), clock("2026-11-22T10:05:00Z"));
    for (let second = 0; second < 40; second += 3) {
      vi.advanceTimersByTime(3_000);
      socket.tell({ op: "alive" });
    }
    expect(said.some((each) => each.say === "told" && each.told.op === "alive")).toBe(false);
    expect(Socket.all).toHaveLength(1);
    vi.advanceTimersByTime(14_000);
    expect(Socket.all.length).toBeGreaterThan(1);
    const next = Socket.all.at(-1)!;
    next.onopen();
    expect(next.sent).toHaveLength(1);
    expect(next.sent[0]).toMatchObject({ op: "open", source: "replay", at: "2026-11-22T10:05:00Z" });
  });

  it("plays on what was played, and nothing that was opened since", async () => {
    await start({ exchange: "x", symbol: "A/B", source: "replay", at: "2026-11-22T10:00:00Z" });
    const replayed = { ...OPENED, source: "replay" };
    socket.tell(replayed, heat(1, 0));
    ask({ do: "send", request: { op: "play", speed: 4 } });
    socket.tell(clock("2026-11-22T10:05:00Z", true));
    const lost = (): void => Socket.all.at(-1)!.onclose();
    const again = (...told: object[]): unknown[] => {
      vi.advanceTimersByTime(1_000);
      const next = Socket.all.at(-1)!;
      next.onopen();
      next.tell(...told);
      return next.sent;
    };
    lost();
    expect(again()).toMatchObject([{ op: "open", at: "2026-11-22T10:05:00Z" }]);
    lost(); // before it was opened again: it is still to be played
    expect(again(replayed, clock("2026-11-22T10:05:00Z"), replayed)).toMatchObject([{ op: "open" }, { op: "play", speed: 4 }]);
    lost();
    ask({ do: "send", request: { op: "stop" } });
    expect(again(replayed)).toMatchObject([{ op: "open" }]);
    ask({ do: "send", request: { op: "play", speed: 1 } });
    Socket.all.at(-1)!.tell({ ...clock("2026-11-22T10:06:00Z"), ended: true });
    lost();
    expect(again(replayed)).toMatchObject([{ op: "open" }]);
    ask({ do: "send", request: { op: "play", speed: 1 } });
    ask({ do: "open", wish: { exchange: "x", symbol: "A/B", source: "live" } });
    lost();
    expect(again(OPENED)).toMatchObject([{ op: "open", source: "live" }]);
  });

  it("asks the recording for what came while the page was hidden", async () => {
    await start();
    const tiles = (): number => vi.mocked(fetch).mock.calls.length;
    socket.tell(OPENED, heat(1, 0));
    await vi.waitFor(() => expect(tiles()).toBe(6));
    await vi.advanceTimersByTimeAsync(50);
    socket.tell(heat(1, 1, T_US + 100_000));
    await vi.advanceTimersByTimeAsync(50);
    expect(tiles()).toBe(6);
    ask({ do: "visible", visible: false });
    ask({ do: "visible", visible: true });
    socket.tell(heat(2, 0, T_US + 60_000_000));
    await vi.waitFor(() => expect(tiles()).toBe(12));
  });
});

describe("a picture", () => {
  it("is void where the market's scales changed", async () => {
    await start();
    const cleared = (): number => said.filter(({ say }) => say === "clear").length;
    socket.tell(OPENED);
    expect(cleared()).toBe(1);
    socket.tell({ ...OPENED, epoch: 2 });
    expect(cleared()).toBe(1);
    socket.tell({ ...OPENED, price_scale: 3 });
    expect(cleared()).toBe(2);
    socket.tell({ ...OPENED, price_scale: 3, size_scale: 4 });
    expect(cleared()).toBe(3);
  });
});
