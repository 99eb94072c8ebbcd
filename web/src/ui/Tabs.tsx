import { useState } from "react";
import type { Chart } from "../heat/chart";
import { rowOf } from "../heat/marks";
import type { LargeOrder } from "../market/data";
import type { Feed } from "../market/feed";
import { clock, exact, span } from "../market/numbers";
import { TABS, type Tab, useSettings } from "../market/settings";
import { useLive, usePart } from "../market/state";
import { Alerts } from "./Alerts";
import { Findings } from "./Findings";
import { Metrics } from "./Metrics";
import type { Screen } from "./screens";

/** Rows of a list before more are asked for: all of them change with every turn. */
const ROWS = 40;
const MORE_ROWS = 100;

interface Props {
  feed: Feed;
  chart: () => Chart | null;
  show: (screen: Screen) => void;
}

export function Tabs({ feed, chart, show }: Props) {
  const { tab, set } = useSettings();
  const unseen = useLive((state) => state.unseen);
  return (
    <section className="panel tabs" aria-label="Alerts, orders and trades">
      <div role="tablist" aria-label="Lists" onKeyDown={(event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (step === undefined) return;
        const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length];
        set({ tab: next });
        document.getElementById(`tab-${next}`)?.focus();
      }}>
        {TABS.map((name) => (
          <button key={name} type="button" role="tab" id={`tab-${name}`} aria-controls="tab-panel" aria-selected={tab === name} tabIndex={tab === name ? 0 : -1} onClick={() => set({ tab: name })}>{name}{name === "Alerts" && unseen > 0 && tab !== name && <b className="unseen" aria-label={`${unseen} new`}>{unseen}</b>}</button>
        ))}
      </div>
      <div className="list" role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`} tabIndex={0}>
        <List tab={tab} feed={feed} chart={chart} show={show} />
      </div>
    </section>
  );
}

function List({ tab, feed, chart, show }: Props & { tab: Tab }) {
  useLive((state) => state.turn);
  switch (tab) {
    case "Alerts":
      return <Alerts feed={feed} chart={chart} all={() => show("alerts")} />;
    case "Findings":
      return <Findings feed={feed} chart={chart} />;
    case "Large orders":
      return <LargeOrders feed={feed} chart={chart} show={show} />;
    case "Trades":
      return <Trades feed={feed} />;
    case "Metrics":
      return <Metrics feed={feed} />;
    case "Order":
      return <Order feed={feed} chart={chart} show={show} />;
  }
}

function Empty({ children }: { children: React.ReactNode }) {
  return <p className="empty">{children}</p>;
}

const ENDS: Record<string, string> = { cut: "cut by a gap", evicted: "left the window" };

export function fateOf(order: LargeOrder): string {
  if (order.endedMs === null) return order.filled > 0 ? "partly filled" : "rests";
  const { ending, reason } = order.told;
  if (ending && ENDS[ending]) return ENDS[ending];
  if (reason) return order.filled > 0 && !reason.startsWith("fill") ? `${reason}, partly filled` : reason;
  return "ended";
}

function LargeOrders({ feed, chart }: Props) {
  const { opened, selected, status } = usePart("opened", "selected", "status");
  const [rows, setRows] = useState(ROWS);
  const orders = [...feed.data.large.values()].reverse().slice(0, rows);
  const threshold = opened ? exact(opened.large, opened.size_scale) : "";
  if (!orders.length) return <><Threshold feed={feed} /><Empty>No large order yet{threshold && `: ${threshold} or more`}.</Empty></>;
  const now = feed.data.t_us / 1000;
  const go = (order: LargeOrder): void => {
    feed.select({ orderId: order.told.order_id });
    const shown = chart();
    if (!shown || !opened) return;
    shown.camera.remember();
    shown.camera.followPrice = "off";
    shown.camera.spot.row = rowOf(order.price, opened.group, order.told.side);
    if (order.endedMs !== null && order.endedMs < shown.camera.fromMs) shown.camera.centre(order.endedMs, shown.camera.spot.row);
    shown.moved();
  };
  return (
    <>
      <Threshold feed={feed} />
      <p className="caption">{threshold} or more, newest change first</p>
      <Missing count={status?.large_not_followed} what="others came while too many were followed: ask for larger ones" />
      <table>
        <thead><tr><th scope="col">side</th><th scope="col" className="n">price</th><th scope="col" className="n">size</th><th scope="col" className="n">age</th><th scope="col">fate</th></tr></thead>
        <tbody>
          {orders.map((order) => (
            <tr key={order.told.order_id} className={selected?.orderId === order.told.order_id ? "chosen" : ""} onClick={() => go(order)}>
              <td><button type="button" className={`side ${order.told.side}`} aria-label={`${order.told.side} of ${order.told.size} at ${order.told.price}`}>{order.told.side === "bid" ? "▲ bid" : "▼ ask"}</button></td>
              <td className="n">{exact(order.price, feed.data.priceScale)}</td>
              <td className="n">{exact(order.endedMs === null ? order.size : order.sizeFirst, feed.data.sizeScale, 4)}</td>
              <td className="n">{age((order.endedMs ?? now) - order.openedMs)}{order.told.left_truncated ? "+" : ""}</td>
              <td className={order.endedMs === null ? "" : "over-with"}>{fateOf(order)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <More left={feed.data.large.size - orders.length} show={() => setRows(rows + MORE_ROWS)} />
    </>
  );
}

/** What the server had to leave out is said where it would stand. */
function Missing({ count = 0, what }: { count?: number; what: string }) {
  return count > 0 ? <p className="warned">{count.toLocaleString("en")} {what}.</p> : null;
}

function More({ left, show }: { left: number; show: () => void }) {
  if (left <= 0) return null;
  return <p className="actions"><button type="button" onClick={show}>Show {Math.min(left, MORE_ROWS)} more of {left.toLocaleString("en")}</button></p>;
}

const WAYS = { large: "size ≥", large_notional: "size × price ≥", large_quantile: "quantile" } as const;

/** What counts as large: the server finds them anew. */
function Threshold({ feed }: { feed: Feed }) {
  const given = (Object.keys(WAYS) as (keyof typeof WAYS)[]).find((name) => feed.wish?.[name]);
  const [way, setWay] = useState<keyof typeof WAYS>(given ?? "large");
  const [text, setText] = useState(given ? (feed.wish?.[given] ?? "") : "");
  const valid = text === "" || (way === "large_quantile" ? /^0\.[0-9]{1,9}$/ : /^[0-9]{1,18}(\.[0-9]{1,18})?$/).test(text);
  return (
    <form className="threshold" onSubmit={(event) => {
      event.preventDefault();
      if (!valid) return;
      feed.data.large.clear();
      feed.reopen({ large: undefined, large_notional: undefined, large_quantile: undefined, [way]: text || undefined });
    }}>
      <select aria-label="What is large" value={way} onChange={(event) => setWay(event.target.value as keyof typeof WAYS)}>
        {Object.entries(WAYS).map(([name, words]) => <option key={name} value={name}>{words}</option>)}
      </select>
      <input size={8} inputMode="decimal" aria-label="Least large order" aria-invalid={!valid} placeholder={way === "large_quantile" ? "0.995" : "usual"} value={text} onChange={(event) => setText(event.target.value.trim())} />
      <button type="submit" disabled={!valid}>Apply</button>
    </form>
  );
}

function age(ms: number): string {
  const s = Math.max(0, ms / 1000);
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  return s < 3600 ? `${Math.floor(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

function Trades({ feed }: { feed: Feed }) {
  const [rows, setRows] = useState(ROWS);
  const { status } = usePart("status");
  const trades = feed.data.trades.newest(rows);
  if (!trades.length) return <Empty>No trade since this page looks.</Empty>;
  const { priceScale, sizeScale } = feed.data;
  return (
    <>
      <Missing count={status?.trades_left_out} what="trades were left out: more came between two pictures than a page takes" />
      <table>
        <thead><tr><th scope="col">time</th><th scope="col">taker</th><th scope="col" className="n">price</th><th scope="col" className="n">size</th></tr></thead>
        <tbody>
          {trades.map((trade, nth) => (
            <tr key={feed.data.trades.length - nth}>
              <td>{clock(trade.t_us / 1000, 1)}</td>
              <td className={["bid", "ask", ""][trade.side]}>{["▲ buy", "▼ sell", "–"][trade.side]}</td>
              <td className="n">{exact(trade.price, priceScale)}</td>
              <td className="n">{exact(trade.size, sizeScale)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <More left={feed.data.trades.length - trades.length} show={() => setRows(rows + MORE_ROWS)} />
    </>
  );
}

function Order({ feed, chart }: Props) {
  const { selected } = usePart("selected");
  if (!selected) return <Empty>No order chosen. Click a large order in the chart, or a segment of a queue in the ladder.</Empty>;
  const told = selected.told;
  const known = selected.orderId === null ? undefined : feed.data.large.get(selected.orderId)?.told;
  // What is followed is told as it happens, later than any answer.
  const order = { ...(told?.side ? told : {}), ...known };
  const rows: [string, React.ReactNode][] = [["id", <code key="id">{selected.orderId ?? (told ? "" : "…")}</code>]];
  const put = (name: string, value: React.ReactNode): void => {
    if (value !== undefined && value !== null && value !== "") rows.push([name, value]);
  };
  if (!known && told?.side && !told.ended) put("values of", clock(selected.toldMs, 3));
  put("side", order.side);
  put("price", order.price);
  put("first price", order.price_first === order.price ? null : order.price_first);
  put("size now", order.size);
  put("size at birth", order.size_first);
  put("filled", order.filled);
  put("fills", order.fills);
  put("amendments", order.amendments);
  // An answer says where it stands as it is asked; the news of an order, where it stood when something happened to it.
  put("orders ahead", told?.orders_ahead ?? order.orders_ahead);
  put("size ahead", order.size_ahead);
  put("ahead at birth", order.orders_ahead_first);
  put("opened", order.opened && `${clock(Date.parse(order.opened), 3)}${order.left_truncated ? " or before" : ""}`);
  put("ended", order.ended && clock(Date.parse(order.ended), 3));
  put("lived", order.opened && span((order.ended ? Date.parse(order.ended) : feed.data.t_us / 1000) - Date.parse(order.opened)));
  put("reason", order.reason);
  put("concluded", order.inferred ? `${order.inferred} of its events, not told by the venue` : null);
  put("era", order.era);
  return (
    <>
      {told?.detail && <p className="caption">{told.detail}</p>}
      <dl>{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      <p className="actions">
        <button type="button" onClick={() => feed.select({ orderId: selected.orderId ?? undefined, handle: selected.handle ?? undefined })}>Ask again</button>
        <button type="button" disabled={!order.price} onClick={() => {
          const { opened } = useLive.getState();
          const shown = chart();
          if (!shown || !opened || !order.price) return;
          shown.camera.remember();
          shown.camera.followPrice = "off";
          shown.camera.spot.row = rowOf(Math.round(Number(order.price) * 10 ** opened.price_scale), opened.group);
          shown.moved();
        }}>Show its price</button>
        <button type="button" onClick={() => feed.select(null)}>Deselect</button>
      </p>
    </>
  );
}
