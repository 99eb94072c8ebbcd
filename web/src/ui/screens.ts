/** What lies over the picture, and the addresses that open it. */
const SCREENS = ["help", "settings", "sessions", "alerts", "status", "bookmarks"] as const;
export type Screen = (typeof SCREENS)[number];

/** Those with an address of their own. */
const ADDRESSED: readonly Screen[] = ["sessions", "alerts", "status", "settings"];

export function screenOf(path: string): Screen | null {
  const last = path.split("/").at(-1);
  return ADDRESSED.find((screen) => screen === last) ?? null;
}

/** The path of the page with a screen over it, or with none. */
export function pathOf(path: string, screen: Screen | null): string {
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  return folder + (screen && ADDRESSED.includes(screen) ? screen : "");
}
