import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MarketData } from "../src/market/data";
import { Feed } from "../src/market/feed";
import { NOTHING, useLive } from "../src/market/state";
import { playClip, whenShown } from "../src/ui/address";
import type { Clock, Opened, Told } from "../src/wire/messages";
import type { Update } from "../src/worker/decoder";
import type { FromWorker, ToWorker } from "../src/worker/protocol";

const OPENED = { op: "opened", exchange: "x", symbol: "A/B", source: "live", group: 5, groups: [1, 5], price_scale: 2, size_scale: 3 } as unknown as Opened;
const MARKET = { exchange: "x", symbol: "A/B" };
const AT = "2026-11-22T10:00:00Z";
const LATER = "2026-11-22T10:07:00Z";

function clock(t: string, more: Partial<Clock> = {}): Clock {
  return { op: "clock", t, speed: 5, playing: false, ended: false, ...more };
}

function update(t_us: number, ...gaps: Update["gaps"]): Update {
  return { columns: [], flows: [], ladder: null, queue: null, trades: [], gaps, t_us };
}

let told: ToWorker[];
let worker: { postMessage: (message: ToWorker) => void; onmessage?: (event: { data: FromWorker }) => void };
let feed: Feed;

function hear(...news: Told[]): void {
  for (const each of news) worker.onmessage!({ data: { say: "told", told: each } });
}

/** What it asked the server for since it was looked at last. */
function asked(): unknown[] {
  return told.splice(0).flatMap<unknown>((message) => (message.do === "open" ? [message.wish] : message.do === "send" ? [message.request] : []));
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", vi.fn(async () => new Response("{}")));
  told = [];
  worker = { postMessage: (message) => told.push(message) };
  feed = new Feed(worker as unknown as Worker);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  useLive.setState(NOTHING);
});

describe("a replay", () => {
  it("that is seen otherwise goes on where it stands, and plays where it played", () => {
    feed.open({ ...MARKET, source: "replay", at: AT });
    hear({ ...OPENED, source: "replay" }, clock(LATER, { playing: true }));
    asked();
    feed.reopen({ group: 10 });
    expect(asked()).toMatchObject([{ source: "replay", group: 10, at: LATER }, { op: "play", speed: 5 }]);
    hear(clock(LATER));
    feed.reopen({ min_size: "3" });
    expect(asked()).toMatchObject([{ min_size: "3", at: LATER }]);
    feed.reopen({ at: AT });
    expect(asked()).toMatchObject([{ at: AT }]);
    feed.reopen();
    expect(asked()).toMatchObject([{ at: AT }]);
    feed.reopen({ source: "live" });
    expect(asked()).toMatchObject([{ source: "live", at: undefined }]);
  });

  it("that was sought goes on from there, whatever its clock said before", () => {
    feed.open({ ...MARKET, source: "replay", at: AT });
    hear(clock(AT));
    asked();
    feed.seek(LATER);
    expect(asked()).toEqual([{ op: "seek", at: LATER }]);
    expect(feed.wish!.at).toBe(LATER);
    feed.reopen({ group: 10 });
    expect(asked()).toMatchObject([{ at: LATER }]);
  });
});

describe("what waits for a picture", () => {
  const CLIP = { ...MARKET, source: "replay" as const, at: AT };
  const column = { level: 0, bucket: 17e9, base: 0, codes: new Uint8Array(0), bid: NaN, ask: NaN, last: NaN };
  const draw = (): void => worker.onmessage!({ data: { say: "update", update: { ...update(17e14), columns: [column] } } });
  const show = (): void => {
    hear({ ...OPENED, source: "replay" });
    draw();
    vi.advanceTimersByTime(100);
  };

  it("is done once that is there, and not before", () => {
    const act = vi.fn();
    feed.open({ ...MARKET, source: "live" });
    hear(OPENED);
    draw();
    whenShown(feed, CLIP, act);
    draw();
    hear({ ...OPENED, source: "replay" });
    vi.advanceTimersByTime(200);
    expect(act).not.toHaveBeenCalled();
    draw();
    vi.advanceTimersByTime(200);
    draw();
    expect(act).toHaveBeenCalledOnce();
    whenShown(feed, feed.wish!, act);
    draw();
    vi.advanceTimersByTime(200);
    expect(act).toHaveBeenCalledTimes(2);
  });

  it.each([
    ["another is opened", () => feed.open({ exchange: "y", symbol: "A/B", source: "replay", at: AT })],
    ["it is refused", () => hear({ op: "refused", detail: "no tape" })],
    ["it is sought", () => feed.seek(LATER)],
  ])("is left where %s", (_, leave) => {
    const act = vi.fn();
    whenShown(feed, CLIP, act);
    leave();
    show();
    expect(act).not.toHaveBeenCalled();
  });

  it("is a clip that stops at its end", () => {
    playClip(feed, CLIP, Date.parse(LATER));
    show();
    hear(clock(AT, { playing: true }));
    expect(asked()).toMatchObject([{ at: AT }, { op: "play", speed: 1 }]);
    hear(clock(LATER, { playing: true }));
    hear(clock(LATER, { playing: true }));
    expect(asked()).toEqual([{ op: "stop" }]);
  });
});

describe("findings", () => {
  it("are asked for up to an hour behind a replay", () => {
    const until = (): (string | null)[] => vi.mocked(fetch).mock.calls.splice(0).flatMap(([url]) => (url instanceof URL ? [url] : [])).filter((url) => url.pathname.includes("findings")).map((url) => url.searchParams.get("end_time"));
    feed.open({ ...MARKET, source: "live" });
    hear(OPENED);
    expect(until()).toEqual([null]);
    feed.open({ ...MARKET, source: "replay", at: AT });
    hear({ ...OPENED, source: "replay" });
    expect(until()).toEqual(["2026-11-22T11:00:00.000Z"]);
  });
});

describe("what a person stopped", () => {
  it("is not stopped elsewhere", () => {
    feed.open({ ...MARKET, source: "live" });
    for (const [change, frozen] of [[{ group: 10 }, true], [{ source: "replay", at: AT }, false], [{ at: LATER }, false], [{ symbol: "C" }, false]] as const) {
      useLive.setState({ frozen: true });
      feed.reopen(change);
      expect(useLive.getState().frozen, JSON.stringify(change)).toBe(frozen);
    }
  });
});

describe("the order that is looked at", () => {
  it("is asked again by its id where a stream is opened: its handle may be another's", () => {
    feed.open({ ...MARKET, source: "live" });
    feed.select({ handle: 7 });
    hear({ op: "order", stream: 1, handle: 7, order_id: "o7", side: "bid" });
    asked();
    hear(OPENED);
    expect(asked()).toEqual([{ op: "order", order_id: "o7" }]);
    expect(useLive.getState().selected).toMatchObject({ handle: null, orderId: "o7" });
    feed.select({ handle: 8 });
    hear(OPENED);
    expect(useLive.getState().selected).toBeNull();
  });
});

describe("a refusal", () => {
  it("of an open says why nothing is shown, any other only what was not done", () => {
    feed.open({ ...MARKET, source: "replay", at: AT });
    hear({ op: "refused", detail: "no tape" });
    expect(useLive.getState()).toMatchObject({ refused: "no tape", denied: "" });
    feed.reopen();
    hear({ ...OPENED, source: "replay" }, { op: "refused", detail: "no marker" });
    expect(useLive.getState()).toMatchObject({ refused: "", denied: "no marker" });
    feed.send({ op: "marker", direction: "next" });
    expect(useLive.getState().denied).toBe("");
    // The worker opens it anew by itself.
    worker.onmessage!({ data: { say: "connection", state: "open" } });
    hear({ op: "refused", detail: "too many" });
    expect(useLive.getState().refused).toBe("too many");
  });
});

describe("a gap", () => {
  const gap = (from_us: number, to_us: number) => ({ from_us, to_us, reason: "silence" });

  it("that is told again is the same one", () => {
    const data = new MarketData();
    data.take(update(5e6, gap(1e6, 0), gap(1e6, 0)));
    data.take(update(9e6, gap(1e6, 8e6), gap(9e6, 0)));
    expect(data.gaps.map(({ from_us, to_us }) => [from_us, to_us])).toEqual([[1e6, 8e6], [9e6, 0]]);
  });

  it("is not drawn beyond what is known", () => {
    const data = new MarketData();
    data.take(update(5e6, gap(1e6, 600e6)));
    expect(data.pyramid.base.newest).toBe(49);
    data.take(update(6e6, gap(7e6, 0)));
    expect(data.pyramid.base.newest).toBe(49);
  });
});
