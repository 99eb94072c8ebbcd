import { useEffect, useState } from "react";
import type { Chart } from "../heat/chart";
import { KINDS, nameOf } from "../market/alerts";
import type { Feed } from "../market/feed";
import type { Alert } from "../wire/messages";
import { address, ask as asked } from "../wire/server";
import { show } from "./Alerts";
import { Dialog } from "./Dialogs";
import { moment } from "./Recordings";

const PAGE = 100;

interface Props {
  feed: Feed;
  chart: () => Chart | null;
  close: () => void;
}

export function AlertHistory({ open, ...rest }: Props & { open: boolean }) {
  return (
    <Dialog open={open} close={rest.close} title="Alerts that fired">
      <Inside {...rest} />
    </Dialog>
  );
}

interface Wish {
  market: string;
  from: string;
  to: string;
}

/** One page of the server's; throws what it says. */
async function askAlerts(wish: Wish, cursor: string | null): Promise<{ alerts: Alert[]; next: string | null }> {
  const url = new URL(address("alerts"));
  const [exchange, symbol] = wish.market.split("|");
  const said = { exchange, symbol, start_time: wish.from && `${wish.from}Z`, end_time: wish.to && `${wish.to}Z`, cursor, limit: String(PAGE) };
  for (const [name, value] of Object.entries(said)) if (value) url.searchParams.set(name, value);
  const { alerts, next_cursor: next } = await asked<{ alerts: Alert[]; next_cursor: string | null }>(url);
  return { alerts, next };
}

/** Whether a word is in what an alert says. */
export function says(alert: Alert, word: string): boolean {
  const all = [alert.symbol, alert.exchange, nameOf(alert.rule), alert.text, alert.order_id ?? "", alert.side ?? ""].join(" ").toLowerCase();
  return word.toLowerCase().split(/\s+/).every((part) => all.includes(part));
}

function Inside({ feed, chart, close }: Props) {
  const [wish, setWish] = useState<Wish>({ market: "", from: "", to: "" });
  const [word, setWord] = useState("");
  const [kind, setKind] = useState("");
  const [found, setFound] = useState<Alert[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [problem, setProblem] = useState("");
  const ask = async (cursor: string | null): Promise<void> => {
    try {
      const told = await askAlerts(wish, cursor);
      setFound((before) => (cursor && before ? [...before, ...told.alerts] : told.alerts));
      setNext(told.next);
      setProblem("");
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  useEffect(() => void ask(null), [wish]);
  const shown = (found ?? []).filter((alert) => (kind === "" || alert.rule === kind) && says(alert, word));
  const markets = [...new Set((found ?? []).map(({ exchange, symbol }) => `${exchange}|${symbol}`))];
  if (wish.market && !markets.includes(wish.market)) markets.push(wish.market);
  return (
    <div className="history">
      <p className="filters">
        <select aria-label="Market of the alerts" value={wish.market} onChange={(event) => setWish({ ...wish, market: event.target.value })}>
          <option value="">every market</option>
          {markets.map((market) => <option key={market} value={market}>{market.split("|").reverse().join(" · ")}</option>)}
        </select>
        <select aria-label="Kind of alert" value={kind} onChange={(event) => setKind(event.target.value)}>
          <option value="">every kind</option>
          {KINDS.map((each) => <option key={each.kind} value={each.kind}>{each.name}</option>)}
        </select>
        <input type="search" aria-label="Words in the alert" placeholder="words" value={word} onChange={(event) => setWord(event.target.value)} />
        <label>from <input type="datetime-local" step="1" aria-label="From, UTC" value={wish.from} onChange={(event) => setWish({ ...wish, from: event.target.value })} /></label>
        <label>to <input type="datetime-local" step="1" aria-label="To, UTC" value={wish.to} onChange={(event) => setWish({ ...wish, to: event.target.value })} /></label>
      </p>
      {problem && <p role="alert" className="warned">{problem} <button type="button" onClick={() => void ask(null)}>Try again</button></p>}
      {found === null && !problem && <p className="empty" role="status">The alerts are asked for.</p>}
      {found !== null && !shown.length && <p className="empty">No such alert{next ? " among the newest" : ""}.</p>}
      {shown.length > 0 && (
        <table>
          <thead><tr><th scope="col">time, UTC</th><th scope="col">market</th><th scope="col">kind</th><th scope="col">what happened</th><th scope="col" /></tr></thead>
          <tbody>
            {shown.map((alert) => (
              <tr key={alert.id}>
                <td>{moment(alert.t)}</td>
                <td>{alert.symbol} · {alert.exchange}</td>
                <td>{nameOf(alert.rule)}</td>
                <td className="words">{alert.text}</td>
                <td>
                  <button type="button" aria-label={`Show the alert of ${moment(alert.t)}`} onClick={() => {
                    close();
                    show(alert, feed, chart);
                  }}>Show</button>{" "}
                  <button type="button" aria-label={`Replay the alert of ${moment(alert.t)}`} onClick={() => {
                    close();
                    feed.open({ exchange: alert.exchange, symbol: alert.symbol, source: "replay", at: new Date(Date.parse(alert.t) - 5_000).toISOString() });
                  }}>Replay</button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {next && <p className="actions"><button type="button" onClick={() => void ask(next)}>Older ones</button></p>}
    </div>
  );
}
