/** Colours of what is drawn beside the heatmap, as the style sheet names them. */
export interface Palette {
  ground: string;
  panel: string;
  line: string;
  text: string;
  dim: string;
  bid: string;
  ask: string;
  accent: string;
  large: string;
  spoof: string;
  iceberg: string;
  halo: string;
}

export const FONT = '11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';

export function palette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    ground: of("ground"),
    panel: of("panel"),
    line: of("line"),
    text: of("text"),
    dim: of("dim"),
    bid: of("bid"),
    ask: of("ask"),
    accent: of("accent"),
    large: of("large"),
    spoof: of("spoof"),
    iceberg: of("iceberg"),
    halo: of("halo"),
  };
}
