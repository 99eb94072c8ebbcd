/** Colours of codes: a table that both renderers read, so that they can't differ. */
import { GAP_CODE } from "../wire/frames";

/** Those that people choose from; "flow" is that of what came and went. */
export const MAPS = ["heat", "viridis", "cividis", "grey", "split"] as const;
export type MapName = (typeof MAPS)[number] | "flow";
export type Theme = "dark" | "light";
type Stop = [number, string];

const HEAT: Stop[] = [
  [0, "#060a14"], [0.12, "#0a183a"], [0.3, "#123a82"], [0.46, "#3482be"], [0.58, "#96cde1"],
  [0.68, "#faf0aa"], [0.78, "#fccd46"], [0.88, "#f6821c"], [1, "#de1c14"],
];
const HEAT_LIGHT: Stop[] = [
  [0, "#f7f9fc"], [0.2, "#d5e4f2"], [0.42, "#86b6dc"], [0.6, "#f3d98b"], [0.78, "#ef9b34"], [1, "#b3120c"],
];
const VIRIDIS: Stop[] = [
  [0, "#0b0612"], [0.1, "#440154"], [0.25, "#414487"], [0.45, "#2a788e"], [0.65, "#22a884"],
  [0.85, "#7ad151"], [1, "#fde725"],
];
const CIVIDIS: Stop[] = [
  [0, "#00101f"], [0.15, "#00224e"], [0.35, "#35456c"], [0.55, "#666970"], [0.75, "#a69d75"], [1, "#fee838"],
];
const GREY: Stop[] = [[0, "#07080a"], [1, "#f5f7fa"]];
const GREY_LIGHT: Stop[] = [[0, "#fafbfc"], [1, "#0b0d12"]];
const BID: Stop[] = [[0, "#060a14"], [0.3, "#08332a"], [0.65, "#138a66"], [0.88, "#41e0a8"], [1, "#d8fff0"]];
const ASK: Stop[] = [[0, "#060a14"], [0.3, "#3d0c1c"], [0.65, "#b1304c"], [0.88, "#ff6d85"], [1, "#ffe3e8"]];
const BID_LIGHT: Stop[] = [[0, "#f7f9fc"], [0.35, "#bfe6d7"], [0.7, "#2f9f79"], [1, "#04402c"]];
const ASK_LIGHT: Stop[] = [[0, "#f7f9fc"], [0.35, "#f5c9d1"], [0.7, "#d2405a"], [1, "#560a19"]];

const ADDED: Stop[] = [[0, "#060a14"], [0.3, "#0c2b4d"], [0.65, "#2f7fd0"], [0.88, "#7fc0ff"], [1, "#e3f2ff"]];
const TAKEN: Stop[] = [[0, "#060a14"], [0.3, "#3d2106"], [0.65, "#b4620f"], [0.88, "#ffb020"], [1, "#fff2d2"]];
const ADDED_LIGHT: Stop[] = [[0, "#f7f9fc"], [0.35, "#bcd9f5"], [0.7, "#2f7fd0"], [1, "#082a52"]];
const TAKEN_LIGHT: Stop[] = [[0, "#f7f9fc"], [0.35, "#f6d9ae"], [0.7, "#c56a0c"], [1, "#4d2600"]];

export interface Look {
  map: MapName;
  theme: Theme;
  /** Codes between which contrast runs. */
  low: number;
  high: number;
  /** 0.2 to 1: how bright it all is. */
  dim: number;
  /** Steps of codes an octave where brightness is to go with size, 0: with its logarithm. */
  linear?: number;
}

type Rgb = [number, number, number];

export const UNKNOWN: Record<Theme, Rgb> = { dark: [13, 17, 26], light: [233, 237, 243] };
/** Of the hatch that says that nothing is known: stripe and between. */
export const HATCH: Record<Theme, [Rgb, Rgb]> = {
  dark: [[74, 84, 104], [24, 29, 41]],
  light: [[176, 186, 200], [222, 227, 234]],
};
export const HATCH_PERIOD = 8;
export const HATCH_WIDTH = 2;

function ramps(map: MapName, theme: Theme): [Stop[], Stop[]] {
  const light = theme === "light";
  const one = (stops: Stop[]): [Stop[], Stop[]] => [stops, stops];
  switch (map) {
    case "heat":
      return one(light ? HEAT_LIGHT : HEAT);
    case "viridis":
      return one(VIRIDIS);
    case "cividis":
      return one(CIVIDIS);
    case "grey":
      return one(light ? GREY_LIGHT : GREY);
    case "split":
      return light ? [BID_LIGHT, ASK_LIGHT] : [BID, ASK];
    case "flow":
      return light ? [ADDED_LIGHT, TAKEN_LIGHT] : [ADDED, TAKEN];
  }
}

/** Colour of a place from 0 to 1 on a ramp. */
function on(stops: Stop[], place: number): Rgb {
  let nth = 1;
  while (nth < stops.length - 1 && stops[nth][0] < place) nth++;
  const [from, to] = [stops[nth - 1], stops[nth]];
  const share = Math.min(1, Math.max(0, (place - from[0]) / (to[0] - from[0])));
  const [a, b] = [parse(from[1]), parse(to[1])];
  return [0, 1, 2].map((part) => a[part] + (b[part] - a[part]) * share) as Rgb;
}

function parse(hex: string): Rgb {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Rgb;
}

/** RGBA of codes 0 to 255 of bids, then of asks: 2,048 bytes.  255 is left to the hatch. */
export function table(look: Look): Uint8Array {
  const out = new Uint8Array(2 * 256 * 4);
  const sides = ramps(look.map, look.theme);
  const span = Math.max(1, look.high - look.low);
  sides.forEach((stops, side) => {
    const ground = on(stops, 0);
    for (let code = 0; code < 256; code++) {
      const place = code === 0 || code === GAP_CODE ? 0 : 0.04 + 0.96 * Math.min(1, Math.max(0, placeOf(code, look, span)));
      // Of what came and went the last bit says which.
      const ramp = look.map === "flow" ? sides[1 - (code & 1)] : stops;
      const colour = code === 0 || code < look.low ? ground : on(ramp, place);
      for (let part = 0; part < 3; part++) {
        out[(side * 256 + code) * 4 + part] = Math.round(ground[part] + (colour[part] - ground[part]) * look.dim);
      }
      out[(side * 256 + code) * 4 + 3] = 255;
    }
  });
  return out;
}

/** Where between the ends of contrast a code stands, 0 to 1. */
function placeOf(code: number, look: Look, span: number): number {
  if (!look.linear) return (code - look.low) / span;
  const least = 2 ** (-span / look.linear);
  return (2 ** ((code - look.low - span) / look.linear) - least) / (1 - least);
}

/** A CSS gradient of a map, for the legend. */
export function gradient(map: MapName, theme: Theme): string {
  const [bid, ask] = ramps(map, theme);
  const stops = map === "split" || map === "flow" ? [...[...bid].reverse().map(([at, c]): Stop => [(1 - at) / 2, c]), ...ask.map(([at, c]): Stop => [0.5 + at / 2, c])] : bid;
  return `linear-gradient(90deg, ${stops.map(([at, colour]) => `${colour} ${(at * 100).toFixed(1)}%`).join(", ")})`;
}
