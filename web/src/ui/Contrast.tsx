import { useRef, useState } from "react";
import { gradient } from "../heat/colours";
import { codeOf, sizeOf } from "../heat/hover";
import { short } from "../market/numbers";
import { useSettings } from "../market/settings";
import { useLive } from "../market/state";

const LEAST_SPAN = 8;
type End = "low" | "high";

/** What somebody typed for an end: a size, a share of the cells that are seen (95 %), or neither. */
export function typedEnd(text: string): { size: number } | { share: number } | null {
  const share = /^p?\s*([0-9]{1,3}(?:\.[0-9]+)?)\s*%$|^p\s*([0-9]{1,3}(?:\.[0-9]+)?)$/i.exec(text.trim());
  if (share) {
    const value = Number(share[1] ?? share[2]) / 100;
    return value <= 1 ? { share: value } : null;
  }
  const size = /^([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([kMG]?)$/.exec(text.trim());
  if (!size) return null;
  const value = Number(size[1]) * { "": 1, k: 1e3, M: 1e6, G: 1e9 }[size[2] as "" | "k" | "M" | "G"];
  return value > 0 ? { size: value } : null;
}

/** The legend, whose ends are the contrast: sizes below the left one are dark, above the right one all
 * the same.  An end can be dragged, moved by keys, and typed. */
export function Contrast() {
  const { low, high, map, theme, autoContrast, set } = useSettings();
  const opened = useLive((state) => state.opened);
  const track = useRef<HTMLDivElement>(null);
  const size = (code: number): string => (opened ? short(sizeOf(code) / 10 ** opened.size_scale) : "");
  const move = (which: End, to: number): void => {
    const code = Math.round(Math.min(254, Math.max(1, to)));
    if (which === "low") set({ low: Math.min(code, high - LEAST_SPAN), autoContrast: false });
    else set({ high: Math.max(code, low + LEAST_SPAN), autoContrast: false });
  };
  const typed = (which: End, text: string): boolean => {
    const meant = typedEnd(text);
    if (!meant || !opened) return false;
    if ("size" in meant) move(which, codeOf(meant.size * 10 ** opened.size_scale));
    else set({ [which === "low" ? "lowShare" : "highShare"]: meant.share, autoContrast: true });
    return true;
  };
  const handle = (which: End, value: number) => (
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
    <div className="contrast" title="Sizes between which colours run ( A: by themselves ); a number sets a size, 95 % a share of what is seen">
      <Typed label="Smallest size of the colours" value={size(low)} className="least" take={(text) => typed("low", text)} />
      <div className="track" ref={track}>
        <div className="ramp" style={{ background: gradient(map, theme), left: `${(low / 255) * 100}%`, right: `${100 - (high / 255) * 100}%` }} />
        {handle("low", low)}
        {handle("high", high)}
      </div>
      <Typed label="Largest size of the colours" value={size(high)} take={(text) => typed("high", text)} />
      <button type="button" aria-pressed={autoContrast} onClick={() => set({ autoContrast: !autoContrast })}>Auto</button>
    </div>
  );
}

/** Shows a value until somebody writes another; Enter takes it, Escape leaves it. */
function Typed({ label, value, className, take }: { label: string; value: string; className?: string; take: (text: string) => boolean }) {
  const [text, setText] = useState<string | null>(null);
  const [wrong, setWrong] = useState(false);
  const leave = (): void => {
    setText(null);
    setWrong(false);
  };
  return (
    <input
      className={className}
      aria-label={label}
      aria-invalid={wrong}
      value={text ?? value}
      onFocus={(event) => event.currentTarget.select()}
      onChange={(event) => {
        setText(event.target.value);
        setWrong(false);
      }}
      onBlur={leave}
      onKeyDown={(event) => {
        if (event.key === "Escape") leave();
        if (event.key !== "Enter" || text === null) return;
        if (take(text)) leave();
        else setWrong(true);
      }}
    />
  );
}
