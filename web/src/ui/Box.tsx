import type { Chart } from "../heat/chart";
import type { MarketData } from "../market/data";
import type { Feed } from "../market/feed";
import { exact, span } from "../market/numbers";
import { type Box, useLive, usePart } from "../market/state";
import type { Opened } from "../wire/messages";
import { address, marketPath } from "../wire/server";
import { boxAddress, linkTo, playClip } from "./address";

/** Size units that were traded there, since the page looks. */
export function tradedWithin(box: Box, group: number, data: MarketData): { buys: number; sells: number; unknown: number; count: number } {
  const found = { buys: 0, sells: 0, unknown: 0, count: 0 };
  const { trades } = data;
  for (let nth = trades.firstSince(box.fromMs * 1000); nth < trades.length; nth++) {
    if (trades.t_us[nth] > box.toMs * 1000) break;
    const price = trades.price[nth];
    if (price < box.low * group || price > box.high * group) continue;
    found.count++;
    found[(["buys", "sells", "unknown"] as const)[trades.side[nth]]] += trades.size[nth];
  }
  return found;
}

/** A whole number at a scale as a decimal that a machine reads. */
export function decimal(value: number, scale: number): string {
  return exact(value, scale).replace(/\u2009/g, "").replace("\u2212", "-");
}

/** Where the server gives the events of a stretch as a file. */
export function boxFile(box: Box, opened: Opened, format: "csv" | "parquet"): string {
  const market = marketPath(opened.exchange, opened.symbol);
  const asked = new URLSearchParams({
    start_time: new Date(box.fromMs).toISOString(),
    end_time: new Date(box.toMs).toISOString(),
    min_price: decimal(box.low * opened.group, opened.price_scale),
    max_price: decimal(box.high * opened.group, opened.price_scale),
    format,
  });
  return address(`heatmap/${market}/box?${asked}`);
}

/** What was chosen with Alt and a drag: measured, and what can be done with it. */
export function Chosen({ feed, chart }: { feed: Feed; chart: () => Chart | null }) {
  const { box, opened } = usePart("box", "opened");
  useLive((state) => (state.box ? state.turn : 0));
  if (!box || !opened) return null;
  const { data } = feed;
  const traded = tradedWithin(box, opened.group, data);
  const size = (units: number): string => exact(Math.round(units), data.sizeScale, 4);
  const zoom = (): void => {
    const shown = chart();
    if (!shown) return;
    const { camera } = shown;
    camera.box(camera.x(box.fromMs), camera.y(box.high), camera.x(box.toMs), camera.y(box.low));
    shown.moved();
  };
  return (
    <section className="chosen-box" aria-label="Chosen stretch">
      <p>
        <b>{span(box.toMs - box.fromMs)}</b> · {exact((box.high - box.low) * opened.group, opened.price_scale, 2)} of price · {traded.count} trades: {size(traded.buys)} bought, {size(traded.sells)} sold{traded.unknown > 0 && `, ${size(traded.unknown)} of unknown taker`}
      </p>
      <p className="actions">
        <button type="button" onClick={zoom}>Zoom</button>
        <a className="button" href={boxFile(box, opened, "csv")} download>Events (CSV)</a>
        <a className="button" href={boxFile(box, opened, "parquet")} download>Events (Parquet)</a>
        <button type="button" onClick={() => feed.wish && playClip(feed, { ...feed.wish, source: "replay", at: new Date(box.fromMs).toISOString() }, box.toMs)}>Replay it</button>
        <button type="button" onClick={() => void navigator.clipboard?.writeText(linkTo(boxAddress(box, opened, true)))}>Copy its address</button>
        <button type="button" aria-label="Close the chosen stretch" onClick={() => useLive.setState({ box: null })}>Close</button>
      </p>
    </section>
  );
}
