import { useRef } from "react";
import { gradient } from "../heat/colours";
import { sizeOf } from "../heat/hover";
import { short } from "../market/numbers";
import { useSettings } from "../market/settings";
import { useLive } from "../market/state";

const LEAST_SPAN = 8;

/** The legend, whose ends are the contrast: sizes below the left one are dark, above the right one all
 * the same. */
export function Contrast() {
  const { low, high, map, theme, autoContrast, set } = useSettings();
  const opened = useLive((state) => state.opened);
  const track = useRef<HTMLDivElement>(null);
  const size = (code: number): string => (opened ? short(sizeOf(code) / 10 ** opened.size_scale) : "");
  const move = (which: "low" | "high", to: number): void => {
    const code = Math.round(Math.min(254, Math.max(1, to)));
    if (which === "low") set({ low: Math.min(code, high - LEAST_SPAN), autoContrast: false });
    else set({ high: Math.max(code, low + LEAST_SPAN), autoContrast: false });
  };
  const handle = (which: "low" | "high", value: number) => (
    <span
      role="slider"
      tabIndex={0}
      className="handle"
      style={{ left: `${(value / 255) * 100}%` }}
      aria-label={which === "low" ? "Contrast from" : "Contrast to"}
      aria-valuemin={1}
      aria-valuemax={254}
      aria-valuenow={value}
      aria-valuetext={`size ${size(value)}`}
      onKeyDown={(event) => {
        const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 12, PageDown: -12 }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        move(which, value + step);
      }}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => {
        const box = track.current?.getBoundingClientRect();
        if (box && event.currentTarget.hasPointerCapture(event.pointerId)) move(which, ((event.clientX - box.left) / box.width) * 255);
      }}
    />
  );
  return (
    <div className="contrast" title="Sizes between which colours run ( A: by themselves )">
      <output className="least">{size(low)}</output>
      <div className="track" ref={track}>
        <div className="ramp" style={{ background: gradient(map, theme), left: `${(low / 255) * 100}%`, right: `${100 - (high / 255) * 100}%` }} />
        {handle("low", low)}
        {handle("high", high)}
      </div>
      <output>{size(high)}</output>
      <button type="button" aria-pressed={autoContrast} onClick={() => set({ autoContrast: !autoContrast })}>Auto</button>
    </div>
  );
}
