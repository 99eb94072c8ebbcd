import { Fragment, useEffect, useState } from "react";
import type { Feed } from "../market/feed";
import { bytes, short, span } from "../market/numbers";
import { askRecording, type Gap, type Recording } from "../market/recording";
import { type Listed, useLive } from "../market/state";
import { Dialog } from "./Dialogs";

/** null: it is being asked for; a text: why it is not known. */
type Known = Recording | string | null;

const nameOf = (market: Listed): string => `${market.exchange} ${market.symbol}`;

/** To the second, with its day, UTC. */
export function moment(iso: string | null): string {
  return iso === null ? "–" : iso.slice(0, 19).replace("T", " ");
}

/** Seconds that are not known, of gaps that are over. */
export function lostMs(gaps: Gap[]): number {
  return gaps.reduce((sum, { from, to }) => sum + (to === null ? 0 : Math.max(0, Date.parse(to) - Date.parse(from))), 0);
}

export function Recordings({ open, close, feed }: { open: boolean; close: () => void; feed: Feed }) {
  return (
    <Dialog open={open} close={close} title="Recordings">
      <List close={close} feed={feed} />
    </Dialog>
  );
}

function List({ close, feed }: { close: () => void; feed: Feed }) {
  const markets = useLive((state) => state.markets);
  const [known, setKnown] = useState<Record<string, Known>>({});
  const [chosen, setChosen] = useState("");
  const [round, setRound] = useState(0);
  useEffect(() => {
    let gone = false;
    void (async () => {
      // One after the other: each is read from the tape.
      for (const market of useLive.getState().markets ?? []) {
        const found = await askRecording(market.exchange, market.symbol);
        if (gone) return;
        setKnown((before) => ({ ...before, [nameOf(market)]: found }));
      }
    })();
    return () => {
      gone = true;
    };
  }, [round]);
  const replay = (market: Listed, at: string): void => {
    feed.open({ exchange: market.exchange, symbol: market.symbol, source: "replay", at });
    close();
  };
  if (!markets?.length) return <p className="empty">Nothing was recorded here yet.</p>;
  return (
    <div className="recordings">
      <table>
        <thead><tr><th scope="col">market</th><th scope="col">now</th><th scope="col">from, UTC</th><th scope="col">to</th><th scope="col" className="n">events</th><th scope="col" className="n">on disk</th><th scope="col" className="n">gaps</th><th scope="col" /></tr></thead>
        <tbody>
          {markets.map((market) => {
            const name = nameOf(market);
            const found = known[name] ?? null;
            const whole = found !== null && typeof found !== "string" ? found : null;
            return (
              <Fragment key={name}>
                <tr className={chosen === name ? "chosen" : ""}>
                  <td>{market.symbol} · {market.exchange}{market.simulated ? " (simulated)" : ""}</td>
                  <td>{whole?.state ?? market.state}</td>
                  {whole ? (
                    <>
                      <td>{moment(whole.first)}</td><td>{moment(whole.last)}</td>
                      <td className="n">{short(whole.events)}</td><td className="n">{bytes(whole.bytes)}</td>
                      <td className="n">{whole.gaps.length ? `${whole.gaps.length}, ${span(lostMs(whole.gaps))}` : "none"}</td>
                    </>
                  ) : <td colSpan={5}>{typeof found === "string" ? found : "…"}</td>}
                  <td><button type="button" disabled={!whole} aria-expanded={chosen === name} aria-label={`${chosen === name ? "Less" : "More"}: eras and gaps of ${name}`} onClick={() => setChosen(chosen === name ? "" : name)}>{chosen === name ? "Less" : "More"}</button></td>
                </tr>
                {chosen === name && whole && <tr><td colSpan={8}><Inside recording={whole} replay={(at) => replay(market, at)} /></td></tr>}
              </Fragment>
            );
          })}
        </tbody>
      </table>
      <p className="actions"><button type="button" onClick={() => setRound(round + 1)}>Ask again</button></p>
    </div>
  );
}

const SHOWN = 200;

/** What begins where; each can be replayed from there. */
function Inside({ recording, replay }: { recording: Recording; replay: (at: string) => void }) {
  const rows = [
    ...(recording.first ? [{ t: recording.first, kind: "begins", text: "" }] : []),
    ...recording.eras.map(({ t, era }) => ({ t, kind: `era ${era}`, text: "a whole new book" })),
    ...recording.gaps.map(({ from, to, reason }) => ({ t: from, kind: to === null ? "gap, lasts" : `gap, ${span(Date.parse(to) - Date.parse(from))}`, text: reason })),
  ].sort((a, b) => (a.t < b.t ? 1 : -1));
  return (
    <ul className="inside">
      {rows.slice(0, SHOWN).map((row, nth) => (
        <li key={nth}>
          <time dateTime={row.t}>{moment(row.t)}</time><b>{row.kind}</b><span>{row.text}</span>
          <button type="button" aria-label={`Replay from ${moment(row.t)}`} onClick={() => replay(row.t)}>Replay</button>
        </li>
      ))}
      {rows.length > SHOWN && <li>and {rows.length - SHOWN} more</li>}
    </ul>
  );
}
