/** The chart: what is drawn of it and when.  Nothing of it goes through React. */
import type { Feed } from "../market/feed";
import type { Pyramid } from "../market/pyramid";
import { useSettings } from "../market/settings";
import { useLive } from "../market/state";
import { COB_WIDTH } from "./axes";
import { Camera } from "./camera";
import { Layers } from "./layers";
import { type Place, touchRow } from "./marks";
import { drawCross, drawMarks } from "./overlay";
import { type Palette, palette } from "./palette";
import { Pointer } from "./pointer";
import type { HeatRenderer, View } from "./renderer";

/** A processor that draws is given no more frames than this. */
const SOFTWARE_FRAME_MS = 190;
const COSTS_KEPT = 600;
const FIRST_MS_PER_PIXEL = 100;

export class Chart {
  readonly camera = new Camera();
  frames = 0;
  /** Milliseconds of the page's thread, a frame. */
  costs: number[] = [];
  private readonly layers: Layers;
  private readonly pointer: Pointer;
  private palette: Palette = palette();
  private waiting = 0;
  private all = true;
  private drawnAt = 0;
  /** The market and group whose prices fill the chart. */
  private fitted = "";
  /** Another moment or market begins. */
  private anew = true;
  private readonly ends: (() => void)[] = [];

  constructor(
    private readonly root: HTMLElement,
    private readonly feed: Feed,
  ) {
    this.layers = new Layers(root);
    this.pointer = new Pointer(this.layers.cross, this);
    this.makeHeat();
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
      if (now.cob !== before.cob || now.quality !== before.quality) this.resize();
      this.palette = palette();
      this.camera.followTime = now.followTime;
      this.camera.followPrice = now.followPrice;
      if (now.followTime !== before.followTime || now.followPrice !== before.followPrice) this.follow();
      this.redraw();
    }));
    this.camera.followTime = useSettings.getState().followTime;
    this.camera.followPrice = useSettings.getState().followPrice;
    this.camera.spot.msPerPixel = FIRST_MS_PER_PIXEL;
    this.ends.push(useLive.subscribe((now, before) => {
      if (now.selected?.orderId !== before.selected?.orderId || now.finding !== before.finding || now.frozen !== before.frozen || now.box !== before.box) this.redraw();
    }));
    const watch = new ResizeObserver(() => this.resize());
    watch.observe(root);
    this.ends.push(() => watch.disconnect());
    this.resize();
  }

  dispose(): void {
    for (const end of this.ends) end();
    cancelAnimationFrame(this.waiting);
    this.layers.dispose();
  }

  get renderer(): HeatRenderer {
    return this.layers.renderer;
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
    const across = this.layers.heat.width / camera.width;
    const down = this.layers.heat.height / camera.height;
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
    this.fitPrices();
    this.fitTimes();
    this.moved();
  }

  fitPrices(): void {
    this.fitted = "";
    this.camera.followPrice = "soft";
    this.fit();
  }

  fitTimes(): void {
    this.camera.spot.msPerPixel = FIRST_MS_PER_PIXEL;
    this.camera.followTime = true;
    this.follow();
  }

  select(orderId: string): void {
    this.feed.select({ orderId });
  }

  /** As a picture: heatmap and marks as one. */
  async picture(): Promise<Blob | null> {
    this.draw();
    return this.layers.picture(this.camera, this.palette.ground);
  }

  private came(): void {
    if (useLive.getState().frozen) return;
    this.fit();
    this.find();
    this.follow();
    this.all = true;
    if (this.layers.software && performance.now() - this.drawnAt < SOFTWARE_FRAME_MS) return;
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

  follow(): void {
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

  request(): void {
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
      drawMarks(this.layers.begin(this.layers.marks), this.place(), this.right);
      this.frames++;
      this.drawnAt = began;
    }
    drawCross(this.layers.begin(this.layers.cross), this.place(), this.right, this.pointer);
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

  place(): Place {
    const { selected } = useLive.getState();
    return {
      camera: this.camera,
      data: this.feed.data,
      settings: useSettings.getState(),
      palette: this.palette,
      group: this.group,
      level: this.feed.data.pyramid.levelAt(this.camera.spot.msPerPixel),
      selected: selected?.orderId ?? null,
      hovered: this.pointer.hovered,
      finding: this.pointer.found?.id ?? useLive.getState().finding,
    };
  }

  private makeHeat(): void {
    this.layers.makeHeat(this.pyramid, () => this.redraw());
    if (this.root.isConnected) this.resize();
  }

  private resize(): void {
    this.pointer.locate(); // first: what is written below would be laid out for it
    this.layers.resize(this.camera);
    this.fit();
    this.follow();
    this.redraw();
  }
}
