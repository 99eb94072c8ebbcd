import { useState } from "react";
import type { Chart } from "../heat/chart";
import type { Feed } from "../market/feed";
import { bytes, span } from "../market/numbers";
import { useLive, usePart } from "../market/state";
import { Icon } from "./icons";
import { live, pause } from "./keys";
import { Overview } from "./Panels";

const SPEEDS = [0.1, 0.5, 1, 2, 5, 10, 50, 100, 1000];

export function Footer({ feed, chart }: { feed: Feed; chart: () => Chart | null }) {
  const { opened, clock: replayed, frozen } = usePart("opened", "clock", "frozen");
  const replay = opened?.source === "replay";
  const playing = replay ? replayed?.playing === true : !frozen;
  return (
    <footer>
      <div className="transport">
        <div className="buttons">
          <button type="button" className="bare" aria-label="Step back" disabled title="A replay goes on, not back: seek instead"><Icon name="stepBack" /></button>
          <button type="button" className="round" aria-label={playing ? "Pause" : "Play"} onClick={() => pause(feed)} title={replay ? "Play or pause" : "Freeze the picture (Space); recording goes on"}><Icon name={playing ? "pause" : "play"} /></button>
          <button type="button" className="bare" aria-label="Step by 100 ms" disabled={!replay} onClick={() => feed.send({ op: "step", by: "100ms" })}><Icon name="step" /></button>
          <button type="button" className="bare" aria-label="Return to live" aria-pressed={!replay && !frozen} onClick={() => live({ feed, chart: chart() })} title="Return to the newest ( L )"><Icon name="live" /></button>
        </div>
        <Seek feed={feed} replay={replay} speed={replayed?.speed ?? 1} />
      </div>
      <Overview feed={feed} chart={chart} />
      <Meter />
    </footer>
  );
}

function Seek({ feed, replay, speed }: { feed: Feed; replay: boolean; speed: number }) {
  const [at, setAt] = useState("");
  const { refused, denied } = usePart("refused", "denied");
  const seek = (): void => {
    if (!at) return;
    const iso = `${at.length === 16 ? `${at}:00` : at}Z`;
    if (replay) feed.seek(iso);
    else feed.reopen({ source: "replay", at: iso });
  };
  return (
    <div className="seek">
      <input type="datetime-local" step="1" aria-label="Time to replay from, UTC" value={at} onChange={(event) => setAt(event.target.value)} />
      <button type="button" onClick={seek} disabled={!at}>{replay ? "Seek" : "Replay"}</button>
      {replay && (
        <select aria-label="Speed" value={SPEEDS.includes(speed) ? speed : 1} onChange={(event) => feed.send({ op: "play", speed: Number(event.target.value) })}>
          {SPEEDS.map((each) => <option key={each} value={each}>{each}×</option>)}
        </select>
      )}
      {refused && feed.wish?.source === "replay" && (
        <p role="alert" className="problem">Replay is not available: {refused}. <button type="button" onClick={() => feed.reopen({ source: "live", at: undefined })}>Back to live</button></p>
      )}
      {denied && <p role="alert" className="problem">{denied}. <button type="button" onClick={() => useLive.setState({ denied: "" })}>Close</button></p>}
    </div>
  );
}

function Meter() {
  const { status, meter, lag } = usePart("status", "meter", "lag");
  const rows: [string, string, string][] = [
    ["events/s", status?.events_per_second?.toFixed(0) ?? "–", "Events of the market, mean of five seconds"],
    ["venue → us", status?.latency_ms == null ? "–" : span(status.latency_ms), "Median, by the venue's clock"],
    ["us → page", Number.isFinite(lag) ? `${Math.max(0, Math.round(lag))} ms` : "–", "From a bucket's end to its arrival in this page"],
    ["received", meter ? `${bytes(meter.bytesPerSecond)}/s` : "–", "Of this page's socket"],
    ["orders", status?.orders?.toLocaleString("en") ?? "–", "Resting now"],
    ["gaps", String(status?.gaps ?? "–"), "In the recording"],
    ["left out", String(status?.conflated ?? "–"), "Frames that were left out because this page was slow"],
    ["lost", meter ? `${meter.lost}` : "–", "Frames that did not follow the one before"],
    ["reconnects", meter ? String(Math.max(0, meter.reconnects)) : "–", "Of this page's socket"],
    ["eras", String(status?.era ?? "–"), "Books that the venue began anew in this recording"],
  ];
  return (
    <dl className="meter" aria-label="Stream">
      {rows.map(([name, value, title]) => <div key={name} title={title}><dt>{name}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}
