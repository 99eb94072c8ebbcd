import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Camera } from "../src/heat/camera";
import { boxOf, findingAt } from "../src/heat/findings";
import type { Place } from "../src/heat/marks";
import { MarketData } from "../src/market/data";
import type { Feed } from "../src/market/feed";
import { cardOf, joined } from "../src/market/findings";
import { DEFAULTS, useSettings } from "../src/market/settings";
import { NOTHING, useLive } from "../src/market/state";
import { Tabs } from "../src/ui/Tabs";
import type { Finding, Opened } from "../src/wire/messages";

const AT = Date.parse("2026-11-22T10:00:00Z");
const time = (seconds: number): string => new Date(AT + seconds * 1000).toISOString();

function finding(change: Partial<Finding> = {}): Finding {
  const told = change.told ?? time(5);
  return {
    id: "spoof-like-bid-7", kind: "spoof-like", side: "bid", phase: "detected", began: time(0), ended: time(4), told,
    told_sequence: 9, price_low: "10.00", price_high: "10.00", size: "5", filled: "0", score: 0.8,
    evidence: { "opposite fills": 0.9 }, against: { "long life": 0.1 }, order_ids: ["o1"], orders: 1,
    phases: [{ phase: "detected", at: told }], ...change,
  };
}

afterEach(() => {
  cleanup();
  useLive.setState(NOTHING);
  useSettings.setState(DEFAULTS);
});

describe("findings", () => {
  it("stay one a pattern, as they are now, with every phase, newest first", () => {
    const iceberg = finding({ id: "i", kind: "native iceberg", told: time(1), told_sequence: 3 });
    const later = { ...iceberg, phase: "executed", told: time(8), told_sequence: 12, filled: "5", phases: [{ phase: "executed", at: time(8) }] };
    const all = joined(joined([], [iceberg, finding()]), [later]);
    expect(all.map(({ id, phase }) => [id, phase])).toEqual([["i", "executed"], ["spoof-like-bid-7", "detected"]]);
    expect(all[0].phases.map(({ phase }) => phase)).toEqual(["detected", "executed"]);
    // An answer of the server that was on its way is no news.
    expect(joined(all, [iceberg])[0].phase).toBe("executed");
  });

  it("that go on for hours keep their first orders, their first phase and the last ones", () => {
    const phases = Array.from({ length: 30 }, (_, nth) => ({ phase: "traded", at: time(nth) }));
    const order_ids = Array.from({ length: 200 }, (_, nth) => `o${nth}`);
    const [kept] = joined(joined([], [finding({ order_ids, orders: 300, phases })]), []);
    expect(kept.phases).toEqual([phases[0], ...phases.slice(-19)]);
    expect([kept.order_ids.length, kept.order_ids[49], kept.orders]).toEqual([50, "o49", 300]);
  });

  it("say what speaks against them, and accuse nobody", () => {
    const card = cardOf(finding());
    expect(card.join("\n")).toContain("against: long life 0.10");
    expect(card.at(-1)).toBe("a pattern, no accusation");
  });

  it("stand where their orders stood, and are not shown before they were found", () => {
    const data = new MarketData();
    data.priceScale = 2;
    data.takeFindings([finding()]);
    const camera = new Camera();
    Object.assign(camera, { width: 800, height: 400 });
    camera.centre(AT + 4_000, 1_000);
    const place = { camera, data, group: 1, settings: DEFAULTS } as unknown as Place;
    data.t_us = (AT + 2_000) * 1000;
    expect(boxOf(data.findings[0], place)).toBeNull();
    data.t_us = (AT + 6_000) * 1000;
    const box = boxOf(data.findings[0], place)!;
    expect(box.x1 - box.x0).toBeCloseTo(4_000 / camera.spot.msPerPixel);
    expect(findingAt(place, box.x1, box.y1)?.id).toBe("spoof-like-bid-7");
    expect(findingAt(place, box.x1 + 60, box.y1)).toBeNull();
  });

  it("are listed, filtered, and open their order", () => {
    const data = new MarketData();
    data.t_us = (AT + 60_000) * 1000;
    data.takeFindings([finding({ order_ids: ["<b>1</b>"], size: "<img src=x onerror=alert(1)>" }), finding({ id: "l", kind: "layering", score: 0.3 })]);
    const select = vi.fn<Feed["select"]>();
    const feed = { data, select, wish: null } as unknown as Feed;
    useSettings.setState({ tab: "Findings" });
    useLive.setState({ opened: { exchange: "x", symbol: "A/B", source: "live", group: 1, price_scale: 2 } as unknown as Opened });
    const { container } = render(<Tabs feed={feed} chart={() => null} show={() => undefined} />);
    expect(container.querySelector("img")).toBeNull();
    expect(screen.getAllByRole("listitem")).toHaveLength(2);
    fireEvent.change(screen.getByLabelText("Least score"), { target: { value: "0.5" } });
    const [row] = screen.getAllByRole("listitem");
    expect(screen.getAllByRole("listitem")).toHaveLength(1);
    fireEvent.click(row.querySelector("button")!);
    expect(select).toHaveBeenCalledWith({ orderId: "<b>1</b>" });
    expect(row.textContent).toContain("Against it: long life 0.10");
    fireEvent.change(screen.getByLabelText("Kind of finding"), { target: { value: "quote stuffing" } });
    expect(screen.queryAllByRole("listitem")).toHaveLength(0);
  });
});

describe("metrics", () => {
  it("are asked for once they are looked at, and told as they are known", () => {
    const data = new MarketData();
    const values = (rate: number | null): Record<string, number | null> => ({ arrival_rate_bid: rate, arrival_rate_ask: 3.5 });
    for (const [nth, rate] of [1, null, 2].entries()) {
      data.takeMetrics({ op: "metrics", stream: 1, t: time(nth), seconds: 10, values: values(rate) });
    }
    data.takeMetrics({ op: "metrics", stream: 1, t: time(2), seconds: 10, values: values(2.25) });
    expect(data.metrics).toHaveLength(3);
    const wantMetrics = vi.fn<Feed["wantMetrics"]>();
    useSettings.setState({ tab: "Metrics" });
    const { container } = render(<Tabs feed={{ data, wantMetrics } as unknown as Feed} chart={() => null} show={() => undefined} />);
    expect(wantMetrics).toHaveBeenCalledOnce();
    act(() => useLive.setState({ opened: { op: "opened", symbol: "A/B" } as unknown as Opened }));
    expect(wantMetrics).toHaveBeenCalledTimes(2);
    const row = screen.getByRole("row", { name: /arrivals a second/ });
    expect([...row.querySelectorAll("td")].map((cell) => cell.textContent)).toEqual(["2.25", "3.50", ""]);
    // What is not known is no line between what is.
    expect(row.querySelector("path")!.getAttribute("d")!.match(/M/g)).toHaveLength(2);
    expect(container.textContent).toContain("–");
  });
});
