import { useEffect } from "react";
import type { Chart } from "../heat/chart";
import { nameOf } from "../market/alerts";
import type { Feed } from "../market/feed";
import { useLive } from "../market/state";
import { show } from "./Alerts";

const SHOWN_MS = 8_000;

/** The newest alerts, for some seconds; a click is where one fired. */
export function Toasts({ feed, chart }: { feed: Feed; chart: () => Chart | null }) {
  const toasts = useLive((state) => state.toasts);
  useEffect(() => {
    if (!toasts.length) return;
    const timer = setTimeout(() => useLive.setState(({ toasts: now }) => ({ toasts: now.slice(0, -1) })), SHOWN_MS / toasts.length);
    return () => clearTimeout(timer);
  }, [toasts]);
  const drop = (id: string): void => useLive.setState(({ toasts: now }) => ({ toasts: now.filter((toast) => toast.id !== id) }));
  return (
    <div className="toasts" role="status" aria-label="New alerts">
      {toasts.map((alert) => (
        <div key={alert.id} className="toast">
          <button type="button" className="bare" onClick={() => {
            drop(alert.id);
            show(alert, feed, chart);
          }}><b>{nameOf(alert.rule)}</b> {alert.symbol}: {alert.text}</button>
          <button type="button" className="bare" aria-label="Put away" onClick={() => drop(alert.id)}>✕</button>
        </div>
      ))}
    </div>
  );
}
