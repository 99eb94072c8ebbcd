/** What people do to the chart with a pointer: move, zoom, choose, click. */
import { useSettings } from "../market/settings";
import { useLive } from "../market/state";
import type { Finding } from "../wire/messages";
import type { Camera } from "./camera";
import { findingAt } from "./findings";
import { barOf, type Place } from "./marks";

/** What a pointer moves. */
interface Pointed {
  readonly camera: Camera;
  /** Where prices begin, in pixels. */
  readonly right: number;
  place(): Place;
  /** Draws what follows the pointer in the next frame. */
  request(): void;
  /** Draws all of it then. */
  redraw(): void;
  /** The camera was moved by hand. */
  moved(): void;
  follow(): void;
  /** As a market is shown first: its prices, or its times. */
  fitPrices(): void;
  fitTimes(): void;
  select(orderId: string): void;
}

type Region = "plot" | "price" | "time" | "none";

interface Spot {
  x: number;
  y: number;
}

interface Drag extends Spot {
  region: Region;
  fromX: number;
  fromY: number;
  /** What is drawn with it: a closer look, or a stretch that is taken along. */
  box: "zoom" | "choose" | null;
  moved: boolean;
}

/** Pixels: nearer than this, a press is a click. */
const CLICK = 4;
/** Pixels: so far across before prices are dragged along with times. */
const ACROSS = 6;
/** Pixels to the bar of an order that is meant. */
const REACH = 7;

export class Pointer {
  at: Spot | null = null;
  /** Where it was told to stay. */
  frozen: Spot | null = null;
  drag: Drag | null = null;
  /** The large order and the finding under it. */
  hovered: string | null = null;
  found: Finding | null = null;
  /** Where the chart lies in the window: asked for at every move it would lay out the whole page. */
  private corner = { left: 0, top: 0 };

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly chart: Pointed,
  ) {
    const on = <K extends keyof HTMLElementEventMap>(kind: K, act: (event: HTMLElementEventMap[K]) => void): void =>
      canvas.addEventListener(kind, act as EventListener, { passive: false });
    on("pointerenter", () => this.locate());
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.up(event));
    on("pointerleave", () => this.leave());
    on("wheel", (event) => this.wheel(event));
    on("dblclick", (event) => this.twice(event));
  }

  /** The chart lies elsewhere in the window, or may. */
  locate(): void {
    this.corner = this.canvas.getBoundingClientRect();
  }

  private leave(): void {
    this.at = this.hovered = this.found = null;
    this.chart.request();
  }

  /** In the page's pixels. */
  private spot(event: MouseEvent): Spot {
    return { x: event.clientX - this.corner.left, y: event.clientY - this.corner.top };
  }

  private region({ x, y }: Spot): Region {
    const { camera, right } = this.chart;
    if (x <= camera.width && y <= camera.height) return "plot";
    if (x > right && y <= camera.height) return "price";
    return y > camera.height && x <= camera.width ? "time" : "none";
  }

  private down(event: PointerEvent): void {
    const spot = this.spot(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = { region: this.region(spot), ...spot, fromX: spot.x, fromY: spot.y, box: event.altKey ? "choose" : event.shiftKey ? "zoom" : null, moved: false };
  }

  private move(event: PointerEvent): void {
    this.at = this.spot(event);
    if (this.drag) this.dragged(this.drag, this.at);
    else this.hover(this.at);
  }

  private hover(spot: Spot): void {
    this.canvas.style.cursor = { plot: "crosshair", price: "ns-resize", time: "ew-resize", none: "default" }[this.region(spot)];
    const before = [this.hovered, this.found];
    this.found = useSettings.getState().markers && spot.x <= this.chart.camera.width ? findingAt(this.chart.place(), spot.x, spot.y) : null;
    this.hovered = this.found ? null : this.orderAt(spot);
    if (this.hovered !== before[0] || this.found !== before[1]) this.chart.redraw();
    else this.chart.request();
  }

  private dragged(drag: Drag, { x, y }: Spot): void {
    const { camera } = this.chart;
    if (!drag.moved && Math.hypot(x - drag.fromX, y - drag.fromY) < CLICK) return;
    if (!drag.moved) camera.remember();
    drag.moved = true;
    const [dx, dy] = [x - drag.x, y - drag.y];
    [drag.x, drag.y] = [x, y];
    if (drag.region === "price") camera.zoomPrice(Math.exp(dy / 150), camera.height / 2);
    else if (drag.region === "time") camera.zoomTime(Math.exp(-dx / 200), camera.width);
    else if (drag.region === "plot" && !drag.box) camera.pan(dx, Math.abs(y - drag.fromY) > ACROSS || camera.followPrice === "off" ? dy : 0);
    this.chart.moved();
  }

  private up(event: PointerEvent): void {
    const { drag } = this;
    this.drag = null;
    if (!drag) return;
    const spot = this.spot(event);
    if (drag.box === "zoom" && drag.moved) {
      this.chart.camera.box(drag.fromX, drag.fromY, spot.x, spot.y);
      this.chart.moved();
    } else if (drag.box === "choose" && drag.moved) {
      this.choose({ x: drag.fromX, y: drag.fromY }, spot);
    } else if (!drag.moved && drag.region === "plot") {
      this.click(spot, event.shiftKey);
    }
    this.chart.redraw();
  }

  /** A stretch of time and whole rows of prices. */
  private choose(from: Spot, to: Spot): void {
    const { camera } = this.chart;
    const [left, right] = [Math.max(0, Math.min(from.x, to.x)), Math.min(camera.width, Math.max(from.x, to.x))];
    const [top, bottom] = [Math.max(0, Math.min(from.y, to.y)), Math.min(camera.height, Math.max(from.y, to.y))];
    useLive.setState({ box: { fromMs: Math.floor(camera.ms(left)), toMs: Math.ceil(camera.ms(right)), low: Math.floor(camera.row(bottom)), high: Math.ceil(camera.row(top)) } });
  }

  private click(spot: Spot, shift: boolean): void {
    const id = this.orderAt(spot);
    if (shift) this.frozen = this.frozen ? null : spot;
    else if (this.found) {
      useLive.setState({ finding: this.found.id });
      if (this.found.order_ids.length) this.chart.select(this.found.order_ids[0]);
      useSettings.getState().set({ tab: "Findings", drawer: true });
    } else if (id) {
      this.chart.select(id);
      useSettings.getState().set({ tab: "Order" });
    } else this.frozen = null;
  }

  /** The large order whose bar is nearest, within reach. */
  private orderAt({ x, y }: Spot): string | null {
    if (!useSettings.getState().large || x > this.chart.camera.width) return null;
    const place = this.chart.place();
    let found: string | null = null;
    let nearest = REACH;
    for (const [id, order] of place.data.large) {
      const bar = barOf(order, place);
      if (!bar || x < bar.x0 - 3 || x > bar.x1 + 3) continue;
      const away = Math.abs(bar.y - y);
      if (away < nearest) [found, nearest] = [id, away];
    }
    return found;
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const { camera } = this.chart;
    const spot = this.spot(event);
    const factor = Math.exp(Math.max(-1, Math.min(1, event.deltaY / 120)) * 0.22);
    if (event.ctrlKey || this.region(spot) === "price") {
      camera.zoomPrice(factor, spot.y);
      if (camera.followPrice === "centre") camera.followPrice = "soft";
    } else camera.zoomTime(factor, spot.x);
    if (camera.followTime) this.chart.follow();
    this.chart.moved();
  }

  private twice(event: MouseEvent): void {
    const region = this.region(this.spot(event));
    this.chart.camera.remember();
    if (region === "price") this.chart.fitPrices();
    else if (region === "time") this.chart.fitTimes();
    this.chart.moved();
  }
}
