import { useCallback, useEffect, useRef, useState } from "react";
import { paint } from "../heat/canvas";
import { Chart } from "../heat/chart";
import { drawWebGl } from "../heat/webgl";
import type { Feed } from "../market/feed";
import { Pyramid } from "../market/pyramid";
import { useSettings } from "../market/settings";
import { type Listed, useLive } from "../market/state";
import { readAddress, writeAddress } from "./address";
import { Choices, Help } from "./Dialogs";
import { Footer } from "./Footer";
import { Header, useHealth } from "./Header";
import { onKey, onPointer } from "./keys";
import { Ladder, LowerPane, State } from "./Panels";
import { Recordings } from "./Recordings";
import { Tabs } from "./Tabs";

const LIST_MS = 10_000;

export function App({ feed }: { feed: Feed }) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const shown = useCallback(() => chart.current, []);
  const [help, setHelp] = useState(false);
  const [choices, setChoices] = useState(false);
  const [recordings, setRecordings] = useState(false);
  const theme = useSettings((state) => state.theme);
  const drawer = useSettings((state) => state.drawer);
  const markets = useLive((state) => state.markets);
  const opened = useLive((state) => state.opened);

  useEffect(() => {
    if (!holder.current) return;
    const made = new Chart(holder.current, feed);
    chart.current = made;
    // For tests in a browser, and for whoever is curious.
    Object.assign(window, { ordertape: { chart: made, feed, live: useLive, settings: useSettings, Pyramid, drawWebGl, paint } });
    return () => made.dispose();
  }, [feed]);

  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    // Colours beside the heatmap are read from the style sheet, which has just changed.
    useSettings.getState().set({});
  }, [theme]);

  useEffect(() => {
    void feed.list();
    const timer = setInterval(() => void feed.list(), LIST_MS);
    return () => clearInterval(timer);
  }, [feed]);

  useEffect(() => {
    if (!markets?.length || feed.wish) return;
    const wish = readAddress(location.search);
    const first = chosen(markets, wish.exchange, wish.symbol);
    feed.open({ source: wish.at ? "replay" : "live", at: wish.at, exchange: first.exchange, symbol: first.symbol, group: wish.group });
  }, [markets, feed]);

  useEffect(() => {
    if (opened) history.replaceState(null, "", writeAddress(location.search, opened));
    document.title = opened ? `${opened.symbol} · ordertape` : "ordertape";
  }, [opened]);

  useEffect(() => {
    const press = (event: KeyboardEvent): void => onKey({ chart: chart.current, feed, help: () => setHelp(true), recordings: () => setRecordings(true) }, event);
    document.addEventListener("keydown", press);
    document.addEventListener("pointerdown", onPointer, true);
    return () => {
      document.removeEventListener("keydown", press);
      document.removeEventListener("pointerdown", onPointer, true);
    };
  }, [feed]);

  return (
    <div className={`app${drawer ? " with-drawer" : ""}`}>
      <Header feed={feed} chart={shown} help={() => setHelp(true)} choose={() => setChoices(true)} recordings={() => setRecordings(true)} />
      <main>
        <section className="panel chart" aria-label="Heatmap">
          <Stage holder={holder} feed={feed} />
        </section>
        <LowerPane feed={feed} chart={shown} />
        <Ladder feed={feed} />
        <Tabs feed={feed} chart={shown} />
      </main>
      <Footer feed={feed} chart={shown} />
      <Help open={help} close={() => setHelp(false)} />
      <Recordings open={recordings} close={() => setRecordings(false)} feed={feed} />
      <Choices open={choices} close={() => setChoices(false)} chart={shown} feed={feed} />
    </div>
  );
}

function Stage({ holder, feed }: { holder: React.RefObject<HTMLDivElement | null>; feed: Feed }) {
  const { health } = useHealth();
  const frozen = useLive((state) => state.frozen);
  const simulated = useLive((state) => state.opened?.simulated);
  const mark = frozen ? "FROZEN" : health === "replay" ? "REPLAY" : simulated ? "SIMULATED" : "";
  return (
    <>
      <div ref={holder} className={`stage ${health}`} data-health={health} role="img" aria-label="Heatmap of resting liquidity over time, with trades and large orders" />
      {mark && <div className="watermark" aria-hidden="true">{mark}</div>}
      <State feed={feed} />
    </>
  );
}

/** The one that was asked for, else one that runs. */
export function chosen(markets: Listed[], exchange?: string, symbol?: string): Listed {
  const same = (market: Listed): boolean => market.symbol === symbol && (!exchange || market.exchange === exchange);
  return markets.find(same) ?? markets.find((market) => market.active) ?? markets[0];
}
