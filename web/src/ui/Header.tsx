import { useEffect, useState } from "react";
import type { Chart } from "../heat/chart";
import { MAPS } from "../heat/colours";
import type { Feed } from "../market/feed";
import { span } from "../market/numbers";
import { useSettings } from "../market/settings";
import { type Health, healthOf, isUnknown, useLive, usePart } from "../market/state";
import { Contrast } from "./Contrast";
import { Icon } from "./icons";
import { groupText, live } from "./keys";
import type { Screen } from "./screens";

const WORDS: Record<Health, string> = {
  loading: "LOADING",
  live: "LIVE",
  replay: "REPLAY",
  gap: "GAP",
  stale: "STALE",
  stopped: "STOPPED",
  error: "ERROR",
  offline: "OFFLINE",
};

/** The health of what is shown, looked at again twice a second: silence has no event. */
export function useHealth(): { health: Health; age: number } {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  // Each frame changes when something was heard; only what comes of it is told on.
  const health = useLive((state) => healthOf(state, Math.max(now, state.heardAt)));
  const { heardAt, status } = useLive.getState();
  return { health, age: heardAt ? Math.max(0, now - heardAt, status?.age_ms ?? 0) : 0 };
}

export function Badge() {
  const { health, age } = useHealth();
  const { opened, status, lag } = usePart("opened", "status", "lag");
  const simulated = opened?.simulated;
  // What was recorded of a gap is a replay nonetheless.
  const replay = opened?.source === "replay" && status !== null && isUnknown(health);
  const detail = replay ? status.state : health === "stale" ? span(age) : health === "live" && Number.isFinite(lag) ? `lag ${Math.max(0, Math.round(lag / 10) * 10)} ms` : "";
  return (
    <span className="badges" role="status" data-health={health}>
      <span className={`badge ${health}`}>
        <i aria-hidden="true" />
        {WORDS[replay ? "replay" : health]}
        {detail && <small>{detail}</small>}
      </span>
      {simulated && <span className="badge simulated" title="A simulator makes this market; nothing of it is traded anywhere">SIMULATED</span>}
    </span>
  );
}

export function Header({ feed, chart, show }: { feed: Feed; chart: () => Chart | null; show: (screen: Screen) => void }) {
  const { markets, opened } = usePart("markets", "opened");
  const settings = useSettings();
  const chosen = feed.wish ? `${feed.wish.exchange}|${feed.wish.symbol}` : "";
  return (
    <header>
      <h1><img src="./icon.svg" alt="" width="20" height="20" />ordertape</h1>
      <label className="field">
        <span className="hidden">Market</span>
        <select
          aria-label="Market"
          value={chosen}
          onChange={(event) => {
            const [exchange, symbol] = event.target.value.split("|");
            feed.open({ exchange, symbol, source: "live" });
          }}
        >
          {!chosen && <option value="">{markets?.length ? "choose a market" : "no market"}</option>}
          {markets?.map((market) => (
            <option key={`${market.exchange}|${market.symbol}`} value={`${market.exchange}|${market.symbol}`}>
              {market.symbol} · {market.exchange}{market.active ? "" : " (stopped)"}
            </option>
          ))}
        </select>
      </label>
      <Badge />
      <label className="field" title="Price group of a row ( < > )">
        <span>Row</span>
        <select
          aria-label="Price group"
          value={opened?.group ?? ""}
          disabled={!opened}
          onChange={(event) => feed.reopen({ group: Number(event.target.value) })}
        >
          {opened && groupsOf(opened.groups, opened.group).map((group) => (
            <option key={group} value={group}>{groupText(group, opened.price_scale)}</option>
          ))}
        </select>
      </label>
      <Contrast />
      <label className="field wide least-needed">
        <span>Colours</span>
        <select aria-label="Colour map" value={settings.map} onChange={(event) => settings.set({ map: event.target.value as (typeof MAPS)[number] })}>
          {MAPS.map((map) => <option key={map}>{map}</option>)}
        </select>
      </label>
      <SizeFilter feed={feed} />
      <span className="spacer" />
      <span className="field wide" title="What the picture follows ( C, X )">
        <button type="button" aria-pressed={settings.followTime} onClick={() => live({ chart: chart(), feed })}>Follow</button>
        <button type="button" onClick={settings.nextFollow} aria-label={`Follow the price: ${settings.followPrice}`}>price: {settings.followPrice}</button>
      </span>
      <button type="button" className="bare" aria-label="Other theme" title="Dark or light" onClick={() => settings.set({ theme: settings.theme === "dark" ? "light" : "dark" })}>
        <Icon name={settings.theme === "dark" ? "sun" : "moon"} />
      </button>
      <button type="button" className="bare drawer-button" aria-label="Alerts, orders and trades" aria-pressed={settings.drawer} onClick={() => settings.set({ drawer: !settings.drawer })}><Icon name="panel" /></button>
      <button type="button" className="bare" aria-label="Recordings" title="Recordings ( R )" onClick={() => show("sessions")}><Icon name="tapes" /></button>
      <button type="button" className="bare" aria-label="Bookmarks" title="Bookmarks ( J )" onClick={() => show("bookmarks")}><Icon name="link" /></button>
      <button type="button" className="bare" aria-label="Status of this server" title="Status of this server ( S )" onClick={() => show("status")}><Icon name="pulse" /></button>
      <button type="button" className="bare" aria-label="Settings" title="Settings" onClick={() => show("settings")}><Icon name="gear" /></button>
      <button type="button" className="bare" aria-label="Keys" title="Keys ( ? )" onClick={() => show("help")}><Icon name="help" /></button>
    </header>
  );
}

function groupsOf(groups: number[], group: number): number[] {
  return groups.includes(group) ? groups : [...groups, group].sort((a, b) => a - b);
}

/** The heatmap of orders of a size or more alone: the server makes it anew. */
function SizeFilter({ feed }: { feed: Feed }) {
  const [text, setText] = useState("");
  const valid = text === "" || /^[0-9]{1,18}(\.[0-9]{1,18})?$/.test(text);
  return (
    <label className="field wide least-needed" title="The heatmap of orders of this size or more alone; Enter">
      <span>Orders ≥</span>
      <input
        size={5}
        inputMode="decimal"
        aria-label="Smallest order of the heatmap"
        aria-invalid={!valid}
        placeholder="all"
        value={text}
        onChange={(event) => setText(event.target.value.trim())}
        onKeyDown={(event) => {
          if (event.key === "Enter" && valid) feed.reopen({ min_size: text || undefined });
        }}
      />
    </label>
  );
}
