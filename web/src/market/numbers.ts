/** Numbers as people read them; exact ones from whole numbers, never through a float. */
import type { Whole } from "../wire/numbers";

/** A whole number at a scale (digits after the point), with thin spaces between thousands. */
export function exact(value: Whole, scale: number, digits = scale): string {
  const negative = value < 0;
  const text = String(negative ? -value : value).padStart(scale + 1, "0");
  const whole = text.slice(0, text.length - scale).replace(/\B(?=(\d{3})+$)/g, "\u2009");
  const rest = text.slice(text.length - scale).slice(0, digits);
  return `${negative ? "\u2212" : ""}${whole}${rest ? `.${rest}` : ""}`;
}

/** Digits after the point that are not the same zero on all of a group's steps. */
export function digitsOf(group: number, scale: number): number {
  let digits = scale;
  while (digits > 0 && group % 10 === 0) {
    group /= 10;
    digits--;
  }
  return digits;
}

/** A whole number of a venue's text at a scale, as a float for drawing. */
export function units(text: string | null | undefined, scale: number): number {
  return text == null ? NaN : Math.round(Number(text) * 10 ** scale);
}

/** Short, for bars and axes: 12.3k.  Three digits that count. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toPrecision(3)}G`;
  if (size >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  if (size >= 1e4) return `${(value / 1e3).toPrecision(3)}k`;
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  return size === 0 ? "0" : value.toPrecision(2).replace(/e-(\d+)$/, "e\u2212$1");
}

export function bytes(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} GB`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} MB`;
  return value >= 1e3 ? `${(value / 1e3).toFixed(1)} kB` : `${value} B`;
}

export function span(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
}

/** Of the clock in UTC. */
export function clock(ms: number, digits = 0): string {
  if (!Number.isFinite(ms)) return "";
  return new Date(ms).toISOString().slice(11, digits ? 20 + digits : 19);
}
