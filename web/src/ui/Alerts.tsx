import { useEffect, useMemo, useState } from "react";
import type { Chart } from "../heat/chart";
import { rowOf } from "../heat/marks";
import { AlertBook, KINDS, nameOf, wordsOf } from "../market/alerts";
import type { Feed } from "../market/feed";
import { clock } from "../market/numbers";
import { useSettings } from "../market/settings";
import { useLive, usePart } from "../market/state";
import type { Alert } from "../wire/messages";
import { address } from "../wire/server";
import { whenShown } from "./address";

const ROWS = 150;

interface Props {
  feed: Feed;
  chart: () => Chart | null;
}

/** The picture goes to where an alert fired, on its market; its order is looked at. */
export function show(alert: Alert, feed: Feed, chart: () => Chart | null): void {
  const { exchange, symbol } = alert;
  const centre = (): void => {
    const { opened } = useLive.getState();
    const shown = chart();
    if (!opened || !shown) return;
    const price = alert.price == null ? null : Math.round(Number(alert.price) * 10 ** opened.price_scale);
    const side = alert.side === "bid" || alert.side === "ask" ? alert.side : undefined;
    shown.camera.centre(Date.parse(alert.t), price === null ? shown.camera.spot.row : rowOf(price, opened.group, side));
    shown.moved();
    if (alert.order_id) feed.select({ orderId: alert.order_id });
  };
  const { opened, heardAt } = useLive.getState();
  const same = feed.wish?.symbol === symbol && feed.wish.exchange === exchange;
  if (same && opened && heardAt > 0) centre();
  else whenShown(feed, same ? feed.wish! : { exchange, symbol, source: "live" }, centre);
}

export function Alerts({ feed, chart, all }: Props & { all: () => void }) {
  const { sound, set } = useSettings();
  const { alerts, rules, rulesError, rulesKept, connection } = usePart("alerts", "rules", "rulesError", "rulesKept", "connection");
  const book = useMemo(() => new AlertBook(address("alerts")), []);
  useEffect(() => {
    if (connection === "open") void book.load();
  }, [book, connection]);
  useEffect(() => useLive.setState({ unseen: 0 }), [alerts]);
  // Somebody else made a rule.
  const newest = alerts[0]?.rule_id;
  const unknown = rules !== null && newest !== undefined && !rules.some(({ id }) => id === newest);
  useEffect(() => {
    if (unknown) void book.load();
  }, [book, unknown, newest]);
  return (
    <>
      <details className="rules">
        <summary>{rules === null ? "Rules" : `Rules (${rules.length})`}</summary>
        <ul>
          {rules?.map((rule) => (
            <li key={rule.id}>
              <span>{rule.symbol} · {rule.exchange}<br />{wordsOf(rule)}</span>
              <button type="button" aria-label={`Delete: ${wordsOf(rule)}`} onClick={() => void book.remove(rule.id)}>Delete</button>
            </li>
          ))}
        </ul>
        <NewRule feed={feed} book={book} />
        {rulesKept && <p className="caption">{rulesKept}</p>}
      </details>
      <p className="actions"><button type="button" onClick={all}>Search all alerts</button><button type="button" aria-pressed={sound} onClick={() => set({ sound: !sound })}>Sound</button></p>
      {rulesError && <p role="alert" className="warned">{rulesError} <button type="button" onClick={() => void book.load()}>Try again</button></p>}
      {!alerts.length && !rulesError && <p className="empty">No alert yet.{rules?.length === 0 && " There is no rule either: make one above."}</p>}
      <ul>
        {alerts.slice(0, ROWS).map((alert) => (
          <li key={alert.id}>
            <button type="button" className="row" onClick={() => show(alert, feed, chart)}>
              <span className="kind">{nameOf(alert.rule)}</span><time dateTime={alert.t}>{clock(Date.parse(alert.t))}</time>
              <span className="words">{alert.symbol !== feed.wish?.symbol || alert.exchange !== feed.wish?.exchange ? `${alert.symbol} · ${alert.exchange}: ` : ""}{alert.text}{alert.left_out ? ` (${alert.left_out} before it left out)` : ""}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** A rule for the market that is shown. */
function NewRule({ feed, book }: { feed: Feed; book: AlertBook }) {
  const [kind, setKind] = useState(KINDS[0]);
  const [values, setValues] = useState<Record<string, string>>({});
  const opened = useLive((state) => state.opened);
  const valueOf = (name: string): string => values[name] ?? kind.fields.find((field) => field.name === name)?.value ?? "";
  // Nothing said of a size: what is among the largest 0.5 %.
  const valid = kind.fields.every(({ name }) => (name === "size" && valueOf(name) === "") || /^[0-9]{1,18}(\.[0-9]{1,18})?$/.test(valueOf(name)));
  const add = async (): Promise<void> => {
    if (!feed.wish || !valid) return;
    const said = Object.fromEntries(kind.fields.map(({ name }) => [name, valueOf(name)]).filter(([, value]) => value !== ""));
    if (await book.add({ kind: kind.kind, exchange: feed.wish.exchange, symbol: feed.wish.symbol, ...said })) setValues({});
  };
  return (
    <form onSubmit={(event) => {
      event.preventDefault();
      void add();
    }}>
      <select aria-label="Alert me of" value={kind.kind} onChange={(event) => {
        setKind(KINDS.find((each) => each.kind === event.target.value) ?? KINDS[0]);
        setValues({});
      }}>
        {KINDS.map((each) => <option key={each.kind} value={each.kind}>{each.name}</option>)}
      </select>
      {kind.fields.map(({ name, label }) => (
        <label key={name}>
          {label} <input size={5} inputMode="decimal" placeholder={name === "size" ? "top 0.5 %" : ""} value={valueOf(name)} onChange={(event) => setValues({ ...values, [name]: event.target.value.trim() })} />
        </label>
      ))}
      <button type="submit" disabled={!valid || !opened}>Add</button>
    </form>
  );
}
