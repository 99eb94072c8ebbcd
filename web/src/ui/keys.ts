/** What keys do: one table for the help and for the handler. */
import { digitsOf } from "../market/numbers";
import type { Chart } from "../heat/chart";
import { MAPS } from "../heat/colours";
import type { Feed } from "../market/feed";
import { PANES, useSettings } from "../market/settings";
import { useLive } from "../market/state";
import type { Screen } from "./screens";

interface Act {
  keys: string;
  does: string;
  group: "Time" | "View" | "Layers" | "Replay";
  match: (event: KeyboardEvent) => boolean;
  act: (context: Context, event: KeyboardEvent) => void;
}

export interface Context {
  chart: Chart | null;
  feed: Feed;
  show: (screen: Screen) => void;
}

const key = (...names: string[]) => (event: KeyboardEvent): boolean =>
  !event.ctrlKey && !event.metaKey && !event.altKey && names.includes(event.key.length === 1 ? event.key.toLowerCase() : event.key);
const toggle = (name: "heat" | "bubbles" | "large" | "markers" | "cob" | "profile") => (): void =>
  useSettings.getState().set({ [name]: !useSettings.getState()[name] });
const BUCKETS = [100, 1_000, 5_000, 15_000, 60_000];

function pan(context: Context, dx: number, dy: number): void {
  context.chart?.camera.pan(dx, dy);
  context.chart?.moved();
}

function stepGroup(feed: Feed, by: number): void {
  const { opened } = useLive.getState();
  if (!opened) return;
  const at = opened.groups.findIndex((group) => group >= opened.group);
  const next = opened.groups[Math.min(opened.groups.length - 1, Math.max(0, at + by))];
  if (next !== opened.group) feed.reopen({ group: next });
}

export function live(context: Pick<Context, "chart" | "feed">): void {
  useLive.setState({ frozen: false });
  if (context.feed.wish?.source === "replay") context.feed.open({ ...context.feed.wish, source: "live", at: undefined });
  const { chart } = context;
  if (!chart) return;
  chart.camera.followTime = true;
  if (chart.camera.followPrice === "off") chart.camera.followPrice = "soft";
  chart.moved();
  context.feed.drawAgain();
}

export const ACTS: Act[] = [
  { keys: "Space", does: "freeze the picture, or play and pause a replay", group: "Time", match: key(" "), act: ({ feed }) => pause(feed) },
  { keys: "← →", does: "pan a little, with Shift ten times as far", group: "Time", match: key("ArrowLeft", "ArrowRight"), act: (context, event) => {
    const ms = Math.max(100, context.chart?.camera.spot.msPerPixel ?? 100) * (event.shiftKey ? 40 : 4);
    const pixels = ms / (context.chart?.camera.spot.msPerPixel ?? 100);
    pan(context, event.key === "ArrowLeft" ? pixels : -pixels, 0);
  } },
  { keys: "↑ ↓", does: "pan by a row, with Shift by ten", group: "View", match: key("ArrowUp", "ArrowDown"), act: (context, event) => {
    const pixels = (context.chart?.camera.spot.pixelsPerRow ?? 1) * (event.shiftKey ? 10 : 1);
    pan(context, 0, event.key === "ArrowUp" ? pixels : -pixels);
  } },
  { keys: "+ −", does: "zoom time; with Ctrl, prices", group: "View", match: (event) => ["+", "-", "="].includes(event.key), act: ({ chart }, event) => {
    const factor = event.key === "-" ? 1.4 : 1 / 1.4;
    if (event.ctrlKey) chart?.camera.zoomPrice(factor, chart.camera.height / 2);
    else chart?.camera.zoomTime(factor, chart.camera.width);
    chart?.moved();
  } },
  { keys: "L", does: "return to the newest", group: "Time", match: key("l"), act: (context) => live(context) },
  { keys: "C", does: "keep the newest column at the right edge, or not", group: "Time", match: key("c"), act: () => useSettings.getState().set({ followTime: !useSettings.getState().followTime }) },
  { keys: "X", does: "follow the price: soft, centred, off", group: "View", match: key("x"), act: () => useSettings.getState().nextFollow() },
  { keys: "Z", does: "reset the view", group: "View", match: key("z"), act: ({ chart }) => chart?.reset() },
  { keys: "Ctrl+Z", does: "back to the view before", group: "View", match: (event) => event.ctrlKey && event.key === "z", act: ({ chart }) => {
    if (chart?.camera.back()) chart.moved();
  } },
  { keys: "< >", does: "group prices finer, coarser", group: "View", match: key("<", ">"), act: ({ feed }, event) => stepGroup(feed, event.key === ">" ? 1 : -1) },
  { keys: "1 – 5", does: "100 ms, 1 s, 5 s, 15 s, 1 min a pixel", group: "View", match: key("1", "2", "3", "4", "5"), act: ({ chart }, event) => {
    if (!chart) return;
    chart.camera.remember();
    chart.camera.zoomTime(BUCKETS[Number(event.key) - 1] / chart.camera.spot.msPerPixel, chart.camera.width);
    chart.moved();
  } },
  { keys: "H", does: "heatmap", group: "Layers", match: key("h"), act: toggle("heat") },
  { keys: "B", does: "trades", group: "Layers", match: key("b"), act: toggle("bubbles") },
  { keys: "O", does: "large orders", group: "Layers", match: key("o"), act: toggle("large") },
  { keys: "M", does: "markers", group: "Layers", match: key("m"), act: toggle("markers") },
  { keys: "V", does: "volume profile", group: "Layers", match: key("v"), act: toggle("profile") },
  { keys: "W", does: "what rests now, beside the chart", group: "Layers", match: key("w"), act: toggle("cob") },
  { keys: "D", does: "lower pane: depth, volume taken, imbalance, none", group: "Layers", match: key("d"), act: () => {
    const { pane, set } = useSettings.getState();
    set({ pane: PANES[(PANES.indexOf(pane) + 1) % PANES.length] });
  } },
  { keys: "K", does: `colours: ${MAPS.join(", ")}`, group: "Layers", match: key("k"), act: () => useSettings.getState().nextMap() },
  { keys: "A", does: "contrast by itself, or kept", group: "Layers", match: key("a"), act: () => useSettings.getState().set({ autoContrast: !useSettings.getState().autoContrast }) },
  { keys: "I", does: "the order that is looked at", group: "Layers", match: key("i"), act: () => useSettings.getState().set({ tab: "Order", drawer: true }) },
  { keys: "E .", does: "step by an event; with Shift+E by 1 s", group: "Replay", match: key("e", "."), act: ({ feed }, event) => {
    if (feed.wish?.source === "replay") feed.send({ op: "step", by: event.shiftKey ? "1s" : "event" });
  } },
  { keys: "[ ]", does: "slower, faster", group: "Replay", match: key("[", "]"), act: ({ feed }, event) => {
    const { clock } = useLive.getState();
    if (clock) feed.send({ op: "play", speed: Math.min(1000, Math.max(0.1, clock.speed * (event.key === "]" ? 2 : 0.5))) });
  } },
  { keys: "N P", does: "next, previous marker", group: "Replay", match: key("n", "p"), act: ({ feed }, event) => {
    if (feed.wish?.source === "replay") feed.send({ op: "marker", direction: event.key === "n" ? "next" : "previous" });
  } },
  { keys: "R", does: "recordings: from when to when, gaps, sizes", group: "Replay", match: key("r"), act: ({ show }) => show("sessions") },
  { keys: "F", does: "what rests, or what came less what was taken away", group: "Layers", match: key("f"), act: () => useSettings.getState().set({ layer: useSettings.getState().layer === "size" ? "flow" : "size" }) },
  { keys: "J", does: "bookmarks of views, with notes", group: "View", match: key("j"), act: ({ show }) => show("bookmarks") },
  { keys: "S", does: "status of this server", group: "View", match: key("s"), act: ({ show }) => show("status") },
  { keys: "/", does: "alerts that fired, to be searched", group: "View", match: (event) => event.key === "/", act: ({ show }) => show("alerts") },
  { keys: "G", does: "go to a time", group: "Replay", match: key("g"), act: () => document.querySelector<HTMLInputElement>(".seek input")?.focus() },
  { keys: "?", does: "this help", group: "View", match: (event) => event.key === "?", act: ({ show }) => show("help") },
  { keys: "Esc", does: "deselect", group: "View", match: key("Escape"), act: ({ feed }) => {
    useLive.setState({ box: null });
    feed.select(null);
  } },
];

export function pause(feed: Feed): void {
  const { clock, frozen, opened } = useLive.getState();
  if (opened?.source === "replay") feed.send(clock?.playing ? { op: "stop" } : { op: "play", speed: clock?.speed ?? 1 });
  else {
    useLive.setState({ frozen: !frozen });
    feed.drawAgain();
  }
}

/** The button that was clicked last.  Space afterwards means the picture, not that button once more; who comes
 *  to a button with Tab presses it. */
let clicked: Element | null = null;

export function onPointer(event: Event): void {
  clicked = (event.target as Element).closest("button, [role=tab]");
}

/** Keys that a field, an open dialogue or a button that was reached by the keyboard needs are left to it.
 *  Where a dialogue was closed, keys still go to its hidden button for a moment: those are the picture's. */
export function onKey(context: Context, event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.key === "Tab") clicked = null;
  if (target.closest("input, select, textarea, [role=slider]")) return;
  // Wherever its focus is: what held it may have been taken away, as a bookmark that is deleted.
  if (document.querySelector("dialog[open]")) return;
  const button = target.closest("dialog") ? null : target.closest("button, [role=tab], summary");
  if (event.key === " " && button && button !== clicked) return;
  if (event.key.startsWith("Arrow") && target.closest("[role=tab]")) return;
  const found = ACTS.find((act) => act.match(event));
  if (!found) return;
  event.preventDefault();
  found.act(context, event);
}

/** A group of prices as people say it: 0.5, 10. */
export function groupText(group: number, scale: number): string {
  return (group / 10 ** scale).toFixed(digitsOf(group, scale));
}
