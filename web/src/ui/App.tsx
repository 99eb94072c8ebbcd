import { useCallback, useEffect, useRef, useState } from "react";
import { paint } from "../heat/canvas";
import { Chart } from "../heat/chart";
import { drawWebGl } from "../heat/webgl";
import type { Feed } from "../market/feed";
import { Pyramid } from "../market/pyramid";
import { useSettings } from "../market/settings";
import { type Listed, useLive } from "../market/state";
import { goTo, readAddress, writeAddress } from "./address";
import { AlertHistory } from "./AlertHistory";
import { Bookmarks } from "./Bookmarks";
import { Chosen } from "./Box";
import { Choices, Help } from "./Dialogs";
import { Footer } from "./Footer";
import { Header, useHealth } from "./Header";
import { onKey, onPointer } from "./keys";
import { Ladder, LowerPane, State } from "./Panels";
import { Operations } from "./Operations";
import { Recordings } from "./Recordings";
import { pathOf, type Screen, screenOf } from "./screens";
import { Tabs } from "./Tabs";
import { Toasts } from "./Toasts";

const LIST_MS = 10_000;

export function App({ feed }: { feed: Feed }) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const shown = useCallback(() => chart.current, []);
  const [screen, setScreen] = useState<Screen | null>(() => screenOf(location.pathname));
  // The browser tells of a close a moment later: another screen may have been opened meanwhile.
  const closes = (name: Screen) => (): void => setScreen((now) => (now === name ? null : now));
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
    const market = chosen(markets, wish.exchange, wish.symbol);
    if (market) goTo({ ...wish, exchange: market.exchange, symbol: market.symbol }, feed, shown);
    else useLive.setState({ refused: `no market ${[wish.symbol, wish.exchange].filter(Boolean).join(" of ")} is known here` });
  }, [markets, feed, shown]);

  useEffect(() => {
    history.replaceState(null, "", pathOf(location.pathname, screen) + location.search);
  }, [screen]);

  useEffect(() => {
    if (opened) history.replaceState(null, "", writeAddress(location.search, opened, feed.wish?.at));
    document.title = opened ? `${opened.symbol} · ordertape` : "ordertape";
  }, [feed, opened]);

  useEffect(() => {
    const press = (event: KeyboardEvent): void => onKey({ chart: chart.current, feed, show: setScreen }, event);
    document.addEventListener("keydown", press);
    document.addEventListener("pointerdown", onPointer, true);
    return () => {
      document.removeEventListener("keydown", press);
      document.removeEventListener("pointerdown", onPointer, true);
    };
  }, [feed]);

  return (
    <div className={`app${drawer ? " with-drawer" : ""}`}>
      <Header feed={feed} chart={shown} show={setScreen} />
      <main>
        <section className="panel chart" aria-label="Heatmap">
          <Stage holder={holder} feed={feed} />
          <Chosen feed={feed} chart={shown} />
        </section>
        <LowerPane feed={feed} chart={shown} />
        <Ladder feed={feed} />
        <Tabs feed={feed} chart={shown} show={setScreen} />
      </main>
      <Footer feed={feed} chart={shown} />
      <Toasts feed={feed} chart={shown} />
      <Help open={screen === "help"} close={closes("help")} />
      <Recordings open={screen === "sessions"} close={closes("sessions")} feed={feed} />
      <AlertHistory open={screen === "alerts"} close={closes("alerts")} chart={shown} feed={feed} />
      <Operations open={screen === "status"} close={closes("status")} />
      <Bookmarks open={screen === "bookmarks"} close={closes("bookmarks")} chart={shown} feed={feed} />
      <Choices open={screen === "settings"} close={closes("settings")} chart={shown} feed={feed} />
    </div>
  );
}

function Stage({ holder, feed }: { holder: React.RefObject<HTMLDivElement | null>; feed: Feed }) {
  const { health } = useHealth();
  const frozen = useLive((state) => state.frozen);
  const { simulated, source } = useLive((state) => state.opened) ?? {};
  const mark = frozen ? "FROZEN" : source === "replay" ? "REPLAY" : simulated ? "SIMULATED" : "";
  return (
    <>
      <div ref={holder} className={`stage ${health}`} data-health={health} role="img" aria-label="Heatmap of resting liquidity over time, with trades and large orders" />
      {mark && <div className="watermark" aria-hidden="true">{mark}</div>}
      <State feed={feed} />
    </>
  );
}

/** The one that was asked for, where none was one that runs. */
export function chosen(markets: Listed[], exchange?: string, symbol?: string): Listed | undefined {
  const found = markets.filter((market) => (!symbol || market.symbol === symbol) && (!exchange || market.exchange === exchange));
  return found.find((market) => symbol !== undefined || market.active) ?? found[0];
}
