import { useEffect, useRef } from "react";
import type { Chart } from "../heat/chart";
import { MAPS } from "../heat/colours";
import type { Feed } from "../market/feed";
import { useSettings } from "../market/settings";
import { useLive } from "../market/state";
import { linkTo, viewAddress } from "./address";
import { ACTS } from "./keys";

const GROUPS = ["Time", "View", "Layers", "Replay"] as const;

export function Dialog({ open, close, title, children }: { open: boolean; close: () => void; title: string; children: React.ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    if (open && !element?.open) element?.showModal();
    if (!open && element?.open) element.close();
  }, [open]);
  return (
    <dialog ref={dialog} aria-label={title} onClose={close} onClick={(event) => event.target === dialog.current && close()}>
      <div className="dialog-body">
        <header><h2>{title}</h2><button type="button" onClick={close}>Close</button></header>
        {open && children}
      </div>
    </dialog>
  );
}

export function Help({ open, close }: { open: boolean; close: () => void }) {
  return (
    <Dialog open={open} close={close} title="Keys">
      <div className="key-groups">
        {GROUPS.map((group) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {ACTS.filter((act) => act.group === group).map((act) => (
                <div key={act.keys}><dt><kbd>{act.keys}</kbd></dt><dd>{act.does}</dd></div>
              ))}
            </dl>
          </section>
        ))}
        <section>
          <h3>Pointer</h3>
          <dl>
            <div><dt><kbd>drag</kbd></dt><dd>pan; on an axis: stretch it</dd></div>
            <div><dt><kbd>Shift drag</kbd></dt><dd>zoom to a box; Ctrl+Z goes back</dd></div>
            <div><dt><kbd>wheel</kbd></dt><dd>zoom time; with Ctrl or on the axis: prices</dd></div>
            <div><dt><kbd>Alt+drag</kbd></dt><dd>choose a stretch: measure it, take it along, replay it</dd></div>
            <div><dt><kbd>click</kbd></dt><dd>choose a large order; with Shift: keep the crosshair</dd></div>
            <div><dt><kbd>double click</kbd></dt><dd>on an axis: reset it</dd></div>
          </dl>
        </section>
      </div>
      <p className="caption">Colours are the largest size that rested in a bucket and a row. Hatched: nothing is known. An order ends ■ filled, ◧ partly filled then taken away, ✕ cancelled, ○ cut by a gap.</p>
    </Dialog>
  );
}

export function Choices({ open, close, chart, feed }: { open: boolean; close: () => void; chart: () => Chart | null; feed: Feed }) {
  const settings = useSettings();
  const box = (name: "heat" | "bubbles" | "large" | "markers" | "cob" | "profile", text: string) => (
    <label><input type="checkbox" checked={settings[name]} onChange={(event) => settings.set({ [name]: event.target.checked })} /> {text}</label>
  );
  return (
    <Dialog open={open} close={close} title="Settings">
      <div className="choices">
        <fieldset><legend>Layers</legend>
          {box("heat", "Heatmap")}{box("bubbles", "Trades")}{box("large", "Large orders")}{box("markers", "Markers")}{box("cob", "What rests now, beside the chart")}{box("profile", "Volume profile")}
        </fieldset>
        <fieldset><legend>Picture</legend>
          <label>Shown <select value={settings.layer} onChange={(event) => settings.set({ layer: event.target.value as typeof settings.layer })}><option value="size">what rests</option><option value="flow">what came less what was taken away</option></select></label>
          <label>Colours <select value={settings.map} onChange={(event) => settings.set({ map: event.target.value as typeof settings.map })}>{MAPS.map((map) => <option key={map}>{map}</option>)}</select></label>
          <label>Scale <select value={settings.linear ? "linear" : "octaves"} onChange={(event) => settings.set({ linear: event.target.value === "linear" })}><option>octaves</option><option>linear</option></select></label>
          <label>Brightness <input type="range" min="0.2" max="1" step="0.05" value={settings.dim} onChange={(event) => settings.set({ dim: Number(event.target.value) })} /></label>
          <label>Trades of at least <input type="number" min="0" step="any" value={settings.bubbleMin} onChange={(event) => settings.set({ bubbleMin: Math.max(0, Number(event.target.value)) })} /></label>
          <label>Resolution <select value={settings.quality} onChange={(event) => settings.set({ quality: event.target.value as typeof settings.quality })}><option>automatic</option><option>full</option><option>reduced</option></select></label>
          <label>Drawn by <select value={settings.renderer} onChange={(event) => settings.set({ renderer: event.target.value as typeof settings.renderer })}><option>automatic</option><option>canvas</option></select></label>
        </fieldset>
        <fieldset><legend>Take along</legend>
          <button type="button" onClick={() => void save(chart, feed)}>Picture (PNG)</button>
          <button type="button" onClick={() => download(new Blob([tradesCsv(feed)], { type: "text/csv" }), `${nameOf(feed)}-trades.csv`)}>Trades (CSV)</button>
          <button type="button" onClick={() => void copyAddress(chart)}>Copy this view’s address</button>
          <button type="button" onClick={settings.reset}>All settings as at first</button>
        </fieldset>
      </div>
    </Dialog>
  );
}

/** Market, group, and the stretch of time and prices that is seen. */
async function copyAddress(chart: () => Chart | null): Promise<void> {
  const { opened } = useLive.getState();
  const shown = chart();
  if (opened && shown) await navigator.clipboard?.writeText(linkTo(viewAddress(shown.camera, opened)));
}

export function nameOf(feed: Feed): string {
  const { exchange, symbol } = feed.wish ?? { exchange: "ordertape", symbol: "" };
  return `${exchange}-${symbol}`.replace(/[^A-Za-z0-9-]+/g, "-");
}

async function save(chart: () => Chart | null, feed: Feed): Promise<void> {
  const picture = await chart()?.picture();
  if (picture) download(picture, `${nameOf(feed)}.png`);
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Numbers as whole units with their scales, so that nothing is rounded. */
function tradesCsv(feed: Feed): string {
  const { trades, priceScale, sizeScale } = feed.data;
  const oldestFirst = trades.newest(trades.length).reverse();
  const rows = oldestFirst.map((trade) => `${trade.t_us},${trade.price},${trade.size},${["buys", "sells", ""][trade.side]}`);
  return [`time_us,price_e${priceScale},size_e${sizeScale},taker`, ...rows, ""].join("\n");
}
