import { useCallback, useRef, useState, type ReactNode } from "react";
import type { Chart } from "../heat/chart";
import { palette } from "../heat/palette";
import type { Feed } from "../market/feed";
import { exact, short, span } from "../market/numbers";
import { PANES, type Pane, useSettings } from "../market/settings";
import { isUnknown, useLive, usePart } from "../market/state";
import { drawLadder, type Hit } from "../panels/ladder";
import { drawOverview, drawRecording, reach } from "../panels/overview";
import { drawDepth, drawSeries } from "../panels/panes";
import { useCanvas } from "./useCanvas";
import { useHealth } from "./Header";

/** What a panel says instead of, or over, its picture. */
export function State({ feed }: { feed: Feed }) {
  const { health, age } = useHealth();
  const { refused, marketsError, status, markets, connection, opened } = usePart("refused", "marketsError", "status", "markets", "connection", "opened");
  const replay = opened?.source === "replay" && connection === "open";
  const retry = (
    <button type="button" onClick={() => {
      void feed.list();
      feed.tell({ do: "retry" });
      feed.reopen();
    }}>Try again</button>
  );
  if (markets?.length === 0) {
    return <Notice title="No market yet"><p>Nothing is recorded here. <code>ordertape demo</code> starts a simulated market, <code>ordertape collect</code> a real one.</p>{retry}</Notice>;
  }
  switch (health) {
    case "loading":
      return <Notice title="Waiting for the first column" skeleton />;
    case "error":
      return <Notice title="This can’t be shown"><p>{refused}</p>{retry}</Notice>;
    case "offline":
      return <Notice title="The server can’t be reached"><p>{marketsError || "It is tried again by itself."}</p>{retry}</Notice>;
    case "stale":
      if (replay) return <Over>{status?.state}: {status?.reason || "nothing new was recorded"}</Over>;
      return <Over>Nothing new for {span(age)}{connection === "open" ? "" : " · connecting again"} {retry}</Over>;
    case "gap":
      return <Over>{status?.state}: {status?.reason || "the book is made anew"}</Over>;
    case "stopped":
      return <Over>{status?.state}: {status?.reason || "nobody records this market"}</Over>;
    default:
      return null;
  }
}

function Notice({ title, children, skeleton }: { title: string; children?: ReactNode; skeleton?: boolean }) {
  return <div className={`notice${skeleton ? " skeleton" : ""}`} role="status"><strong>{title}</strong>{children}</div>;
}

function Over({ children }: { children: ReactNode }) {
  return <div className="over" role="status">{children}</div>;
}

export function Ladder({ feed }: { feed: Feed }) {
  const hits = useRef<Hit[]>([]);
  const [text, setText] = useState("");
  const redraw = useCallback((again: () => void) => {
    feed.drawn.add(again);
    const ends = [useSettings.subscribe(again), useLive.subscribe((now, before) => now.selected !== before.selected && again())];
    return () => {
      feed.drawn.delete(again);
      ends.forEach((end) => end());
    };
  }, [feed]);
  const canvas = useCanvas((context, width, height) => {
    if (useLive.getState().frozen) return;
    const { last, selected, opened } = useLive.getState();
    hits.current = drawLadder({
      context, width, height, data: feed.data, palette: palette(), last,
      selectedHandle: selected?.handle ?? selected?.told?.handle ?? null,
      largeUnits: opened?.large ?? Infinity,
    });
  }, redraw);
  const at = (event: React.MouseEvent): Hit | undefined => {
    const { offsetX: x, offsetY: y } = event.nativeEvent;
    return hits.current.find((hit) => x >= hit.x0 && x < hit.x1 && y >= hit.y0 && y < hit.y1);
  };
  const { opened } = usePart("opened");
  const unknown = isUnknown(useHealth().health);
  return (
    <section className={`panel ladder${unknown ? " unknown" : ""}`} aria-label="Ladder">
      <h2>Ladder<small>{opened ? `${opened.symbol}, exact` : ""}</small></h2>
      <div className="canvas-box">
        <canvas
          ref={canvas}
          role="img"
          aria-label="Ladder with the queue inside each price"
          title={text}
          onMouseMove={(event) => {
            const hit = at(event);
            event.currentTarget.style.cursor = hit ? "pointer" : "default";
            setText(hit ? "an order of this queue: click looks at it" : "");
          }}
          onClick={(event) => {
            const hit = at(event);
            if (hit) {
              feed.select({ handle: hit.handle });
              useSettings.getState().set({ tab: "Order", drawer: true });
            }
          }}
        />
        {unknown && <Over>The book is not known</Over>}
      </div>
      <BestPrices feed={feed} />
    </section>
  );
}

/** The touch in words, for those who don't see the canvas. */
function BestPrices({ feed }: { feed: Feed }) {
  const { bid, ask } = usePart("bid", "ask");
  const { data } = feed;
  const say = (price: number): string => (Number.isNaN(price) ? "none" : exact(price, data.priceScale));
  return <p className="hidden">Best bid {say(bid)}, best ask {say(ask)}.</p>;
}

const PANE_NAMES: Record<Pane, string> = { depth: "Depth", cvd: "Volume taken", imbalance: "Imbalance", none: "None" };

export function LowerPane({ feed, chart }: { feed: Feed; chart: () => Chart | null }) {
  const { pane, logDepth, set } = useSettings();
  const pointer = useRef<number | null>(null);
  const redraw = useCallback((again: () => void) => {
    feed.drawn.add(again);
    const end = useSettings.subscribe(again);
    return () => {
      feed.drawn.delete(again);
      end();
    };
  }, [feed]);
  const canvas = useCanvas((context, width, height) => {
    const place = { context, width, height, data: feed.data, palette: palette() };
    const camera = chart()?.camera;
    if (pane === "depth") drawDepth(place, logDepth, pointer.current);
    else if (camera && pane === "cvd") drawSeries(place, camera, feed.data.cvd, (value) => short(value / 10 ** feed.data.sizeScale));
    else if (camera && pane === "imbalance") drawSeries(place, camera, feed.data.imbalances, (value) => `${(100 * value).toFixed(0)} %`, 1);
  }, redraw);
  return (
    <section className={`panel pane${pane === "none" ? " folded" : ""}`} aria-label="Lower pane">
      <h2>
        <span role="group" aria-label="Lower pane" className="segments">
          {PANES.map((name) => (
            <button key={name} type="button" aria-pressed={pane === name} onClick={() => set({ pane: name })}>{PANE_NAMES[name]}</button>
          ))}
        </span>
        {pane === "depth" && <button type="button" aria-pressed={logDepth} onClick={() => set({ logDepth: !logDepth })}>log</button>}
        <small>{pane === "depth" ? "sums of what rests, 200 prices a side" : pane === "cvd" ? "bought less sold, since this page looks" : pane === "imbalance" ? "ten best prices: bids less asks, of both" : ""}</small>
      </h2>
      <div className="canvas-box">
        <canvas ref={canvas} role="img" aria-label={PANE_NAMES[pane]}
          onMouseMove={(event) => {
            pointer.current = event.nativeEvent.offsetX;
            feed.drawAgain();
          }}
          onMouseLeave={() => {
            pointer.current = null;
          }}
        />
      </div>
    </section>
  );
}

export function Overview({ feed, chart }: { feed: Feed; chart: () => Chart | null }) {
  const recording = useLive((state) => state.recording);
  const redraw = useCallback((again: () => void) => {
    const slow = setInterval(again, 1_000);
    const end = useSettings.subscribe(again);
    return () => {
      clearInterval(slow);
      end();
    };
  }, []);
  const canvas = useCanvas((context, width, height) => {
    const camera = chart()?.camera;
    const { recording } = useLive.getState();
    if (recording) drawRecording(context, width, height, recording, feed.data, palette());
    else if (camera) drawOverview(context, width, height, feed.data, camera, palette());
  }, redraw);
  return (
    <div className="canvas-box overview">
      <canvas ref={canvas} role="img" aria-label={recording ? "All of the recording: price, gaps, findings; a click seeks" : "All that this page has of the market: price, gaps, what is seen"} onClick={(event) => {
        if (recording?.first && recording.last) {
          const [from, to] = [Date.parse(recording.first), Date.parse(recording.last)];
          const share = event.nativeEvent.offsetX / event.currentTarget.clientWidth;
          feed.seek(new Date(from + share * (to - from)).toISOString());
          return;
        }
        const span = reach(feed.data, event.currentTarget.clientWidth);
        const shown = chart();
        if (!span || !shown) return;
        const ms = span.from + (event.nativeEvent.offsetX / event.currentTarget.clientWidth) * (span.to - span.from);
        shown.camera.remember();
        shown.camera.followTime = false;
        shown.camera.spot.rightMs = ms + (shown.camera.width / 2) * shown.camera.spot.msPerPixel;
        shown.moved();
      }} />
    </div>
  );
}
