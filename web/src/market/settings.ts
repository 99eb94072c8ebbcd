/** What a person chose; kept in this browser. */
import { create } from "zustand";
import { persist } from "zustand/middleware";
import type { FollowPrice } from "../heat/camera";
import { MAPS, type MapName, type Theme } from "../heat/colours";

export const PANES = ["depth", "cvd", "imbalance", "none"] as const;
export const TABS = ["Alerts", "Findings", "Large orders", "Trades", "Metrics", "Order"] as const;
export type Pane = (typeof PANES)[number];
export type Tab = (typeof TABS)[number];

export interface Settings {
  theme: Theme;
  map: MapName;
  /** Sizes that rest, or what came less what was taken away. */
  layer: "size" | "flow";
  /** Brightness with size instead of its logarithm. */
  linear: boolean;
  low: number;
  high: number;
  autoContrast: boolean;
  /** Shares of the cells that are seen between which contrast runs by itself; null: as usual. */
  lowShare: number | null;
  highShare: number | null;
  dim: number;
  heat: boolean;
  bubbles: boolean;
  large: boolean;
  markers: boolean;
  cob: boolean;
  profile: boolean;
  pane: Pane;
  tab: Tab;
  drawer: boolean;
  followTime: boolean;
  followPrice: FollowPrice;
  logDepth: boolean;
  /** Smallest trade that is drawn, in the market's own size. */
  bubbleMin: number;
  quality: "automatic" | "full" | "reduced";
  renderer: "automatic" | "canvas";
  sound: boolean;
}

interface Acts {
  set: (change: Partial<Settings>) => void;
  reset: () => void;
  nextMap: () => void;
  nextFollow: () => void;
}

export const DEFAULTS: Settings = {
  theme: "dark",
  map: "heat",
  layer: "size",
  linear: false,
  low: 60,
  high: 170,
  autoContrast: true,
  lowShare: null,
  highShare: null,
  dim: 1,
  heat: true,
  bubbles: true,
  large: true,
  markers: true,
  cob: true,
  profile: false,
  pane: "depth",
  tab: "Large orders",
  drawer: false,
  followTime: true,
  followPrice: "soft",
  logDepth: false,
  bubbleMin: 0,
  quality: "automatic",
  renderer: "automatic",
  sound: false,
};

const FOLLOWS: FollowPrice[] = ["soft", "centre", "off"];

export const useSettings = create<Settings & Acts>()(
  persist(
    (set) => ({
      ...DEFAULTS,
      set: (change) => set(change),
      reset: () => set(DEFAULTS),
      nextMap: () => set(({ map }) => ({ map: MAPS[(MAPS.findIndex((each) => each === map) + 1) % MAPS.length] })),
      nextFollow: () =>
        set(({ followPrice }) => ({ followPrice: FOLLOWS[(FOLLOWS.indexOf(followPrice) + 1) % FOLLOWS.length] })),
    }),
    { name: "ordertape", version: 1 },
  ),
);
