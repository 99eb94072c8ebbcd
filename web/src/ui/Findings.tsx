import { useState } from "react";
import type { Chart } from "../heat/chart";
import { rowOf } from "../heat/marks";
import { awayWithin, HONEST, isIceberg, NAMES, partsOf, peaksOf, wordsOf } from "../market/findings";
import type { Feed } from "../market/feed";
import { clock } from "../market/numbers";
import { useLive, usePart } from "../market/state";
import type { Finding } from "../wire/messages";

const ROWS = 150;

interface Props {
  feed: Feed;
  chart: () => Chart | null;
}

/** The picture goes to where it was found; its first order is looked at. */
export function centre(finding: Finding, feed: Feed, shown: Chart | null): void {
  const { opened } = useLive.getState();
  useLive.setState({ finding: finding.id });
  if (finding.order_ids.length) feed.select({ orderId: finding.order_ids[0] });
  if (!opened || !shown) return;
  const price = Math.round(((Number(finding.price_low) + Number(finding.price_high)) / 2) * 10 ** opened.price_scale);
  shown.camera.centre(Date.parse(finding.ended), rowOf(price, opened.group, finding.side));
  shown.moved();
}

export function Findings({ feed, chart }: Props) {
  const { opened, finding: chosen, findingsError } = usePart("opened", "finding", "findingsError");
  const [kind, setKind] = useState("");
  const [least, setLeast] = useState("0");
  const now = feed.data.t_us / 1000;
  const found = feed.data.findings.filter((each) => (kind === "" || each.kind === kind) && each.score >= Number(least) && Date.parse(each.phases[0]?.at ?? each.told) <= now + 1_000);
  const replay = (each: Finding): void => {
    if (feed.wish) feed.reopen({ source: "replay", at: new Date(Date.parse(each.began) - 5_000).toISOString() });
  };
  return (
    <>
      <p className="filters">
        <select aria-label="Kind of finding" value={kind} onChange={(event) => setKind(event.target.value)}>
          <option value="">every kind</option>
          {Object.entries(NAMES).map(([name, words]) => <option key={name} value={name}>{words}</option>)}
        </select>
        <select aria-label="Least score" value={least} onChange={(event) => setLeast(event.target.value)}>
          {["0", "0.5", "0.7", "0.9"].map((score) => <option key={score} value={score}>score ≥ {score}</option>)}
        </select>
      </p>
      <p className="caption">{HONEST}</p>
      {findingsError && <p role="alert" className="warned">{findingsError} <button type="button" onClick={() => void feed.loadFindings()}>Try again</button></p>}
      {!found.length && !findingsError && <p className="empty">Nothing found yet.</p>}
      <ul>
        {found.slice(0, ROWS).map((each) => (
          <li key={each.id} className={each.id === chosen ? "chosen" : ""}>
            <button type="button" className="row" onClick={() => centre(each, feed, chart())}>
              <span className={`kind ${isIceberg(each) ? "iceberg" : "spoof"}`}>{NAMES[each.kind] ?? each.kind} {each.score.toFixed(2)}</span>
              <time dateTime={each.told}>{clock(Date.parse(each.told))}</time>
              <span className="words">{wordsOf(each)}{isIceberg(each) && `, ${each.phase}, filled ${each.filled}`}</span>
            </button>
            {each.id === chosen && (
              <div className="evidence">
                {isIceberg(each) && <p>{peaksOf(each).join("; ")}</p>}
                {each.kind === "layering" && <p>{each.orders} orders, taken away within {awayWithin(each)}</p>}
                <p>For it: {partsOf(each.evidence) || "–"}</p>
                <p>Against it: {partsOf(each.against) || "–"}</p>
                {opened?.source === "live" && <p className="actions"><button type="button" onClick={() => replay(each)}>Replay it</button></p>}
              </div>
            )}
          </li>
        ))}
      </ul>
    </>
  );
}
