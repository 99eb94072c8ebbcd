import { useEffect } from "react";
import type { Feed } from "../market/feed";
import { short } from "../market/numbers";
import { useLive } from "../market/state";

/** Words, the columns (of both sides where there are two), digits behind the point where short is not enough. */
type Line = [words: string, first: string, second?: string];

const GROUPS: [string, Line[]][] = [
  ["Flow", [
    ["events a second", "events_per_second"],
    ["arrivals a second", "arrival_rate_bid", "arrival_rate_ask"],
    ["cancels a second", "cancel_rate_bid", "cancel_rate_ask"],
    ["of an order, a second", "cancel_hazard_bid", "cancel_hazard_ask"],
    ["market orders a second", "market_order_rate_buy", "market_order_rate_sell"],
    ["volume taken", "volume_buy", "volume_sell"],
    ["orders to trades", "order_to_trade_number"],
    ["cancels to trades", "cancel_to_trade"],
    ["clustering of cancels", "cancel_fano"],
  ]],
  ["Spread, bp", [
    ["quoted", "quoted_spread_bp"],
    ["effective", "effective_spread_bp"],
    ["realised after 5 s", "realised_spread_5s_bp"],
    ["price impact after 5 s", "price_impact_5s_bp"],
  ]],
  ["Balance", [
    ["queue imbalance, 0 to 1", "queue_imbalance"],
    ["order flow imbalance", "ofi"],
    ["the same, 5th price", "ofi_5"],
  ]],
  ["Depth", [
    ["at the best price", "best_size_bid", "best_size_ask"],
    ["within 5 bp", "depth_bid_5bp", "depth_ask_5bp"],
    ["within 25 bp", "depth_bid_25bp", "depth_ask_25bp"],
    ["within 100 bp", "depth_bid_100bp", "depth_ask_100bp"],
    ["slope", "slope_bid", "slope_ask"],
  ]],
  ["Orders", [
    ["traded at all", "fill_ratio_any"],
    ["of their size", "fill_ratio_volume"],
    ["canceled", "canceled_share"],
    ["median life, s", "lifetime_median_s"],
    ["canceled within 2 s", "fleeting_share"],
  ]],
];

/** What analysis makes of the market's last seconds, told once a second while this is looked at. */
export function Metrics({ feed }: { feed: Feed }) {
  useLive((state) => state.turn);
  // A page that begins with this list has no market yet.
  const opened = useLive((state) => state.opened);
  useEffect(() => feed.wantMetrics(), [feed, opened]);
  const { metrics } = feed.data;
  const newest = metrics.at(-1);
  if (!newest) return <p className="empty">No second was measured yet.</p>;
  const said = (name: string): string => {
    const value = newest.values[name];
    return value === null || value === undefined ? "–" : short(value);
  };
  return (
    <>
      <p className="caption">Over the last {newest.seconds} s that are settled; a dash where nothing is known. Definitions and sources: docs/metrics.md.</p>
      <table className="metrics">
        {GROUPS.map(([group, lines]) => (
          <tbody key={group}>
            <tr><th scope="rowgroup">{group}</th><th scope="col" className="n bid">bid, buy</th><th scope="col" className="n ask">ask, sell</th><th scope="col"><span className="hidden">last minutes</span></th></tr>
            {lines.map(([words, first, second]) => (
              <tr key={words}>
                <th scope="row">{words}</th>
                <td className="n" colSpan={second ? 1 : 2}>{said(first)}</td>
                {second && <td className="n">{said(second)}</td>}
                <td><Spark values={metrics.map(({ values }) => values[first] ?? NaN)} /></td>
              </tr>
            ))}
          </tbody>
        ))}
      </table>
    </>
  );
}

const [WIDE, HIGH] = [64, 14];

/** A line without an axis: how it went, not how much it was. */
function Spark({ values }: { values: number[] }) {
  const known = values.filter((value) => !Number.isNaN(value));
  if (known.length < 2) return null;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const y = (value: number): number => (high === low ? HIGH / 2 : HIGH - 1 - ((value - low) / (high - low)) * (HIGH - 2));
  let path = "";
  values.forEach((value, nth) => {
    if (Number.isNaN(value)) return;
    const begins = nth === 0 || Number.isNaN(values[nth - 1]);
    path += `${begins ? "M" : "L"}${((nth / (values.length - 1)) * WIDE).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return <svg className="spark" width={WIDE} height={HIGH} aria-hidden="true"><path d={path} /></svg>;
}
