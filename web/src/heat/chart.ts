/** The chart: canvases, what is drawn when, and what pointers do.  Nothing of it goes through React. */
import type { Feed } from "../market/feed";
import { cardOf } from "../market/findings";
import type { Pyramid } from "../market/pyramid";
import { useSettings } from "../market/settings";
import { useLive } from "../market/state";
import { axes, COB_WIDTH, crosshair, currentBook, lastPrice, PRICE_WIDTH, TIME_HEIGHT } from "./axes";
import { Camera } from "./camera";
import { drawCanvas } from "./canvas";
import { findingAt, findings } from "./findings";
import { barOf, bestLines, largeOrders, largeTags, type Place, touchRow } from "./marks";
import { type Palette, palette } from "./palette";
import { describe } from "./hover";
import type { Finding } from "../wire/messages";
import type { HeatRenderer, View } from "./renderer";
import { bubbles, volumeProfile } from "./trades";
import { drawWebGl, isSoftware, WebGlHeat } from "./webgl";

/** A processor that draws is given no more pixels and frames than this. */
const SOFTWARE_PIXELS = 450_000;
const SOFTWARE_FRAME_MS = 190;
const COSTS_KEPT = 600;
const FIRST_MS_PER_PIXEL = 100;

type Region = "plot" | "price" | "time" | "none";
interface Drag {
  region: Region;
  x: number;
  y: number;
  fromX: number;
  fromY: number;
  /** What is drawn with it: a closer look, or a stretch that is taken along. */
  box: "zoom" | "choose" | null;
  moved: boolean;
}

export class Chart {
  readonly camera = new Camera();
  renderer!: HeatRenderer;
  software = false;
  frames = 0;
  /** Milliseconds of the page's thread, a frame. */
  costs: number[] = [];
  private heat!: HTMLCanvasElement;
  private readonly marks = document.createElement("canvas");
  private readonly cross = document.createElement("canvas");
  private palette: Palette = palette();
  private pointer: { x: number; y: number } | null = null;
  private frozen: { x: number; y: number } | null = null;
  private drag: Drag | null = null;
  private hovered: string | null = null;
  private found: Finding | null = null;
  private waiting = 0;
  private all = true;
  private drawnAt = 0;
  /** Where the chart lies in the window: asked for at every move of a pointer it would lay out the whole page. */
  private corner = { left: 0, top: 0 };
  /** Of the device's pixels to those of the page. */
  private ratio = 1;
  private fitted = "";
  /** Another moment or market begins. */
  private anew = true;
  private readonly ends: (() => void)[] = [];

  constructor(
    private readonly root: HTMLElement,
    private readonly feed: Feed,
  ) {
    this.marks.className = this.cross.className = "layer";
    this.makeHeat();
    root.append(this.marks, this.cross);
    this.cross.tabIndex = -1;
    for (const each of [feed.data.pyramid, feed.data.flows]) {
      each.changed = (level, slot) => each === this.pyramid && this.renderer.changed(level, slot);
      each.cleared = () => {
        this.anew = true;
        if (each === this.pyramid) this.renderer.cleared();
      };
    }
    const came = (): void => this.came();
    feed.drawn.add(came);
    this.ends.push(() => feed.drawn.delete(came));
    this.ends.push(useSettings.subscribe((now, before) => {
      if (now.renderer !== before.renderer || now.layer !== before.layer) this.makeHeat();
      this.palette = palette();
      this.camera.followTime = now.followTime;
      this.camera.followPrice = now.followPrice;
      if (now.followTime !== before.followTime || now.followPrice !== before.followPrice) this.follow();
      this.redraw();
    }));
    this.camera.followTime = useSettings.getState().followTime;
    this.camera.followPrice = useSettings.getState().followPrice;
    this.camera.spot.msPerPixel = FIRST_MS_PER_PIXEL;
    this.listen();
    const watch = new ResizeObserver(() => this.resize());
    watch.observe(root);
    this.ends.push(() => watch.disconnect());
    this.resize();
  }

  dispose(): void {
    for (const end of this.ends) end();
    cancelAnimationFrame(this.waiting);
    this.renderer.dispose();
    this.root.replaceChildren();
  }

  get group(): number {
    return useLive.getState().opened?.group ?? 1;
  }

  /** What is drawn: sizes that rest, or what came less what was taken away. */
  private get pyramid(): Pyramid {
    const { pyramid, flows } = this.feed.data;
    return useSettings.getState().layer === "flow" ? flows : pyramid;
  }

  get right(): number {
    return this.camera.width + (useSettings.getState().cob ? COB_WIDTH : 0);
  }

  /** What the renderer is asked to draw now. */
  view(): View {
    const { camera } = this;
    const across = this.heat.width / camera.width;
    const down = this.heat.height / camera.height;
    return {
      level: this.pyramid.levelAt(camera.spot.msPerPixel / across),
      fromMs: camera.fromMs,
      msPerPixel: camera.spot.msPerPixel / across,
      topRow: camera.topRow,
      rowsPerPixel: 1 / (camera.spot.pixelsPerRow * down),
      group: this.group,
    };
  }

  redraw(): void {
    this.all = true;
    this.request();
  }

  /** After the camera was moved by hand: what follows no more is said so. */
  moved(): void {
    const { followTime, followPrice } = this.camera;
    const settings = useSettings.getState();
    // Each change is kept in the browser and renews the chrome: not at every move of a hand.
    if (followTime !== settings.followTime || followPrice !== settings.followPrice) settings.set({ followTime, followPrice });
    this.look();
    this.redraw();
  }

  reset(): void {
    this.camera.remember();
    this.fitted = "";
    this.camera.spot.msPerPixel = FIRST_MS_PER_PIXEL;
    this.camera.followTime = true;
    this.camera.followPrice = "soft";
    this.fit();
    this.moved();
    this.follow();
  }

  /** As a picture: heatmap and marks as one. */
  async picture(): Promise<Blob | null> {
    this.draw();
    const out = document.createElement("canvas");
    [out.width, out.height] = [this.marks.width, this.marks.height];
    const context = out.getContext("2d")!;
    context.fillStyle = this.palette.ground;
    context.fillRect(0, 0, out.width, out.height);
    context.drawImage(this.heat, 0, 0, this.camera.width * this.ratio, this.camera.height * this.ratio);
    context.drawImage(this.marks, 0, 0);
    return new Promise((done) => out.toBlob(done, "image/png"));
  }

  private came(): void {
    if (useLive.getState().frozen) return;
    this.fit();
    this.find();
    this.follow();
    this.all = true;
    if (this.software && performance.now() - this.drawnAt < SOFTWARE_FRAME_MS) return;
    this.request();
  }

  /** A picture that begins anew elsewhere, as after a seek, is gone to. */
  private find(): void {
    const { finest } = this.feed.data.pyramid;
    if (!this.anew || finest.newest < 0) return;
    this.anew = false;
    const ms = finest.newest * finest.bucketMs;
    if (ms >= this.camera.fromMs && ms <= this.camera.spot.rightMs) return;
    this.camera.followTime = true;
    useSettings.getState().set({ followTime: true });
  }

  private follow(): void {
    const { finest } = this.feed.data.pyramid;
    if (finest.newest < 0) return;
    const slot = finest.slot(finest.newest);
    const middle = touchRow(finest.bids[slot], finest.asks[slot], finest.lasts[slot], this.group);
    this.camera.follow((finest.newest + 1) * finest.bucketMs, middle);
    this.look();
  }

  /** The first picture of a market or group: the touch in the middle, rows a few whole pixels high. */
  private fit(): void {
    const { opened } = useLive.getState();
    const { finest } = this.feed.data.pyramid;
    if (!opened || finest.newest < 0 || this.camera.height < 20) return;
    const name = `${opened.exchange} ${opened.symbol} ${opened.group}`;
    if (name === this.fitted) return;
    const slot = finest.slot(finest.newest);
    const middle = touchRow(finest.bids[slot], finest.asks[slot], finest.lasts[slot], opened.group);
    if (Number.isNaN(middle)) return;
    this.fitted = name;
    this.camera.spot.pixelsPerRow = Math.max(1, Math.round(this.camera.height / 260));
    this.camera.spot.row = middle;
    this.camera.spot.rightMs = (finest.newest + 1) * finest.bucketMs;
  }

  /** The worker measures contrast where people look. */
  private look(): void {
    const { camera } = this;
    const level = this.feed.data.pyramid.levelAt(camera.spot.msPerPixel);
    const { bucketMs } = this.feed.data.pyramid.rings[level];
    const { lowShare, highShare } = useSettings.getState();
    this.feed.tell({
      do: "window",
      window: {
        level,
        fromBucket: Math.floor(camera.fromMs / bucketMs),
        toBucket: Math.ceil(camera.spot.rightMs / bucketMs),
        fromRow: Math.floor(camera.row(camera.height)),
        toRow: Math.ceil(camera.row(0)),
        lowShare,
        highShare,
      },
    });
  }

  private request(): void {
    if (!this.waiting) {
      this.waiting = requestAnimationFrame(() => {
        this.waiting = 0;
        this.draw();
      });
    }
  }

  private draw(): void {
    if (document.hidden) return;
    const began = performance.now();
    if (this.all) {
      this.all = false;
      this.drawHeat();
      this.drawMarks();
      this.frames++;
      this.drawnAt = began;
    }
    this.drawCross();
    this.costs.push(performance.now() - began);
    if (this.costs.length > COSTS_KEPT) this.costs.splice(0, COSTS_KEPT / 2);
    this.root.dataset.frames = String(this.frames);
    this.root.dataset.newest = String(this.feed.data.pyramid.finest.newest);
    this.root.dataset.renderer = this.renderer.kind;
  }

  private drawHeat(): void {
    const { map, theme, low, high, dim, heat, layer, linear } = useSettings.getState();
    const steps = useLive.getState().opened?.steps_per_octave ?? 12;
    const look = { map: layer === "flow" ? "flow" as const : map, theme, low: heat ? low : 255, high: heat ? high : 256, dim, linear: linear ? steps : 0 };
    this.renderer.draw(this.view(), look);
  }

  private place(): Place {
    const { selected } = useLive.getState();
    return {
      camera: this.camera,
      data: this.feed.data,
      settings: useSettings.getState(),
      palette: this.palette,
      group: this.group,
      level: this.feed.data.pyramid.levelAt(this.camera.spot.msPerPixel),
      selected: selected?.orderId ?? null,
      hovered: this.hovered,
      finding: this.found?.id ?? useLive.getState().finding,
    };
  }

  private drawMarks(): void {
    const context = this.begin(this.marks);
    const place = this.place();
    const { settings, camera, data } = place;
    const { finest } = data.pyramid;
    const last = finest.newest < 0 ? NaN : finest.lasts[finest.slot(finest.newest)];
    axes(context, place, this.right, last);
    context.save();
    context.beginPath();
    context.rect(0, 0, camera.width, camera.height);
    context.clip();
    if (settings.profile) volumeProfile(context, place);
    const labels = settings.large ? largeOrders(context, place) : [];
    bestLines(context, place);
    if (settings.bubbles) bubbles(context, place);
    const glyphs = settings.markers ? findings(context, place) : [];
    largeTags(context, labels, glyphs, place);
    context.restore();
    context.save();
    context.beginPath();
    context.rect(0, 0, this.right, camera.height);
    context.clip();
    if (settings.cob) currentBook(context, place, camera.width);
    context.restore();
    lastPrice(context, place, this.right, last);
  }

  private drawCross(): void {
    const context = this.begin(this.cross);
    const at = this.frozen ?? this.pointer;
    this.drawBox(context);
    if (this.drag?.box && this.drag.moved && this.pointer) {
      const { fromX, fromY } = this.drag;
      context.strokeStyle = this.palette.accent;
      context.strokeRect(fromX, fromY, this.pointer.x - fromX, this.pointer.y - fromY);
      return;
    }
    if (!at || at.x > this.camera.width || at.y > this.camera.height || this.drag?.moved) return;
    const place = this.place();
    crosshair(context, place, this.right, { ...at, text: this.found ? cardOf(this.found) : describe(place, at.x, at.y), frozen: this.frozen !== null });
  }

  private drawBox(context: CanvasRenderingContext2D): void {
    const { box } = useLive.getState();
    if (!box) return;
    const { camera } = this;
    const [x0, x1] = [camera.x(box.fromMs), camera.x(box.toMs)];
    const [y0, y1] = [camera.y(box.high), camera.y(box.low)];
    context.save();
    context.beginPath();
    context.rect(0, 0, camera.width, camera.height);
    context.clip();
    context.strokeStyle = this.palette.accent;
    context.lineWidth = 1.5;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.fillStyle = this.palette.accent;
    context.globalAlpha = 0.08;
    context.fillRect(x0, y0, x1 - x0, y1 - y0);
    context.restore();
  }

  private begin(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    const context = canvas.getContext("2d")!;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    return context;
  }

  private makeHeat(): void {
    this.renderer?.dispose();
    this.heat?.remove();
    this.heat = document.createElement("canvas");
    this.heat.className = "layer heat";
    this.root.prepend(this.heat);
    const { pyramid } = this;
    const wanted = new URLSearchParams(location.search).get("renderer") ?? useSettings.getState().renderer;
    try {
      if (wanted === "canvas") throw new Error("asked for");
      this.renderer = drawWebGl(this.heat, pyramid);
      const gl = this.renderer as WebGlHeat;
      gl.restored = () => this.redraw();
      this.software = isSoftware(gl.gl);
    } catch {
      // A canvas that was asked for WebGL in vain can't be drawn on otherwise.
      const fresh = document.createElement("canvas");
      fresh.className = this.heat.className;
      this.heat.replaceWith(fresh);
      this.heat = fresh;
      this.renderer = drawCanvas(fresh, pyramid);
      this.software = true;
    }
    if (this.root.isConnected) this.resize();
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.root;
    const ratio = (this.ratio = Math.min(2, window.devicePixelRatio || 1));
    this.corner = this.root.getBoundingClientRect();
    const { cob, quality } = useSettings.getState();
    this.camera.width = Math.max(1, clientWidth - PRICE_WIDTH - (cob ? COB_WIDTH : 0));
    this.camera.height = Math.max(1, clientHeight - TIME_HEIGHT);
    const { width, height } = this.camera;
    const reduced = quality === "reduced" || (quality === "automatic" && this.software);
    const most = reduced ? Math.min(1, Math.sqrt(SOFTWARE_PIXELS / (width * height))) : ratio;
    this.heat.width = Math.max(1, Math.round(width * Math.min(ratio, most)));
    this.heat.height = Math.max(1, Math.round(height * Math.min(ratio, most)));
    this.heat.style.width = `${width}px`;
    this.heat.style.height = `${height}px`;
    for (const canvas of [this.marks, this.cross]) {
      canvas.width = Math.round(clientWidth * ratio);
      canvas.height = Math.round(clientHeight * ratio);
      canvas.style.width = `${clientWidth}px`;
      canvas.style.height = `${clientHeight}px`;
    }
    this.fit();
    this.follow();
    this.redraw();
  }

  // Pointers ------------------------------------------------------------------------------------

  private listen(): void {
    const on = <K extends keyof HTMLElementEventMap>(kind: K, act: (event: HTMLElementEventMap[K]) => void): void =>
      this.cross.addEventListener(kind, act as EventListener, { passive: false });
    on("pointerenter", () => {
      this.corner = this.root.getBoundingClientRect();
    });
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.up(event));
    on("pointerleave", () => {
      this.pointer = null;
      this.hovered = this.found = null;
      this.request();
    });
    on("wheel", (event) => this.wheel(event));
    on("dblclick", (event) => this.twice(event));
    this.ends.push(useSettings.subscribe((now, before) => {
      if (now.cob !== before.cob || now.quality !== before.quality) this.resize();
    }));
    this.ends.push(useLive.subscribe((now, before) => {
      if (now.selected?.orderId !== before.selected?.orderId || now.finding !== before.finding || now.frozen !== before.frozen || now.box !== before.box) this.redraw();
    }));
  }

  /** Where on the chart, in the page's pixels. */
  private at(event: MouseEvent): { x: number; y: number } {
    return { x: event.clientX - this.corner.left, y: event.clientY - this.corner.top };
  }

  private region(x: number, y: number): Region {
    if (x <= this.camera.width && y <= this.camera.height) return "plot";
    if (x > this.right && y <= this.camera.height) return "price";
    return y > this.camera.height && x <= this.camera.width ? "time" : "none";
  }

  private down(event: PointerEvent): void {
    const { x, y } = this.at(event);
    this.cross.setPointerCapture(event.pointerId);
    this.drag = { region: this.region(x, y), x, y, fromX: x, fromY: y, box: event.altKey ? "choose" : event.shiftKey ? "zoom" : null, moved: false };
  }

  private move(event: PointerEvent): void {
    const { x, y } = this.at(event);
    this.pointer = { x, y };
    const { drag, camera } = this;
    if (!drag) {
      this.cross.style.cursor = { plot: "crosshair", price: "ns-resize", time: "ew-resize", none: "default" }[this.region(x, y)];
      const before = [this.hovered, this.found];
      this.found = useSettings.getState().markers && x <= this.camera.width ? findingAt(this.place(), x, y) : null;
      this.hovered = this.found ? null : this.orderAt(x, y);
      if (this.hovered !== before[0] || this.found !== before[1]) this.all = true;
      this.request();
      return;
    }
    if (!drag.moved && Math.hypot(x - drag.fromX, y - drag.fromY) < 4) return;
    if (!drag.moved) camera.remember();
    drag.moved = true;
    const [dx, dy] = [x - drag.x, y - drag.y];
    [drag.x, drag.y] = [x, y];
    if (drag.region === "price") camera.zoomPrice(Math.exp(dy / 150), camera.height / 2);
    else if (drag.region === "time") camera.zoomTime(Math.exp(-dx / 200), camera.width);
    else if (drag.region === "plot" && !drag.box) camera.pan(dx, Math.abs(y - drag.fromY) > 6 || camera.followPrice === "off" ? dy : 0);
    this.moved();
  }

  private up(event: PointerEvent): void {
    const { drag } = this;
    this.drag = null;
    if (!drag) return;
    const { x, y } = this.at(event);
    if (drag.box === "zoom" && drag.moved) {
      this.camera.box(drag.fromX, drag.fromY, x, y);
      this.moved();
    } else if (drag.box === "choose" && drag.moved) {
      this.choose(drag.fromX, drag.fromY, x, y);
    } else if (!drag.moved && drag.region === "plot") {
      this.click(x, y, event.shiftKey);
    }
    this.redraw();
  }

  /** A stretch of time and whole rows of prices. */
  private choose(x0: number, y0: number, x1: number, y1: number): void {
    const { camera } = this;
    const [left, right] = [Math.max(0, Math.min(x0, x1)), Math.min(camera.width, Math.max(x0, x1))];
    const [top, bottom] = [Math.max(0, Math.min(y0, y1)), Math.min(camera.height, Math.max(y0, y1))];
    useLive.setState({ box: { fromMs: Math.floor(camera.ms(left)), toMs: Math.ceil(camera.ms(right)), low: Math.floor(camera.row(bottom)), high: Math.ceil(camera.row(top)) } });
  }

  private click(x: number, y: number, shift: boolean): void {
    const id = this.orderAt(x, y);
    if (shift) this.frozen = this.frozen ? null : { x, y };
    else if (this.found) {
      useLive.setState({ finding: this.found.id });
      if (this.found.order_ids.length) this.feed.select({ orderId: this.found.order_ids[0] });
      useSettings.getState().set({ tab: "Findings", drawer: true });
    } else if (id) {
      this.feed.select({ orderId: id });
      useSettings.getState().set({ tab: "Order" });
    } else this.frozen = null;
  }

  /** The large order whose bar is nearest, within reach. */
  private orderAt(x: number, y: number): string | null {
    if (!useSettings.getState().large || x > this.camera.width) return null;
    const place = this.place();
    let found: string | null = null;
    let nearest = 7;
    for (const [id, order] of this.feed.data.large) {
      const bar = barOf(order, place);
      if (!bar || x < bar.x0 - 3 || x > bar.x1 + 3) continue;
      const away = Math.abs(bar.y - y);
      if (away < nearest) [found, nearest] = [id, away];
    }
    return found;
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const { x, y } = this.at(event);
    const factor = Math.exp(Math.max(-1, Math.min(1, event.deltaY / 120)) * 0.22);
    if (event.ctrlKey || this.region(x, y) === "price") {
      this.camera.zoomPrice(factor, y);
      if (this.camera.followPrice === "centre") this.camera.followPrice = "soft";
    } else this.camera.zoomTime(factor, x);
    if (this.camera.followTime) this.follow();
    this.moved();
  }

  private twice(event: MouseEvent): void {
    const { x, y } = this.at(event);
    const region = this.region(x, y);
    this.camera.remember();
    if (region === "price") {
      this.fitted = "";
      this.camera.followPrice = "soft";
      this.fit();
    } else if (region === "time") {
      this.camera.spot.msPerPixel = FIRST_MS_PER_PIXEL;
      this.camera.followTime = true;
      this.follow();
    }
    this.moved();
  }
}
