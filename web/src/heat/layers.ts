/** The canvases of a chart, one above the other: the heatmap, what is marked on it, what follows the pointer. */
import type { Pyramid } from "../market/pyramid";
import { useSettings } from "../market/settings";
import { COB_WIDTH, PRICE_WIDTH, TIME_HEIGHT } from "./axes";
import type { Camera } from "./camera";
import { drawCanvas } from "./canvas";
import type { HeatRenderer } from "./renderer";
import { drawWebGl, isSoftware, type WebGlHeat } from "./webgl";

/** A processor that draws is given no more pixels than this. */
const SOFTWARE_PIXELS = 450_000;

export class Layers {
  renderer!: HeatRenderer;
  /** Whether a processor draws the heatmap. */
  software = false;
  heat!: HTMLCanvasElement;
  readonly marks = document.createElement("canvas");
  readonly cross = document.createElement("canvas");
  /** Of the device's pixels to those of the page. */
  private ratio = 1;

  constructor(private readonly root: HTMLElement) {
    this.marks.className = this.cross.className = "layer";
    root.append(this.marks, this.cross);
    this.cross.tabIndex = -1;
  }

  dispose(): void {
    this.renderer.dispose();
    this.root.replaceChildren();
  }

  /** Who draws the heatmap, by what the settings or the address ask for; `restored`: its context was lost and is back. */
  makeHeat(pyramid: Pyramid, restored: () => void): void {
    this.renderer?.dispose();
    this.heat?.remove();
    this.heat = this.below();
    const wanted = new URLSearchParams(location.search).get("renderer") ?? useSettings.getState().renderer;
    try {
      if (wanted === "canvas") throw new Error("asked for");
      this.renderer = drawWebGl(this.heat, pyramid);
      const gl = this.renderer as WebGlHeat;
      gl.restored = restored;
      this.software = isSoftware(gl.gl);
    } catch {
      // A canvas that was asked for WebGL in vain can't be drawn on otherwise.
      this.heat.remove();
      this.heat = this.below();
      this.renderer = drawCanvas(this.heat, pyramid);
      this.software = true;
    }
  }

  /** As large as the page leaves room for; so is what the camera sees. */
  resize(camera: Camera): void {
    const { clientWidth, clientHeight } = this.root;
    const ratio = (this.ratio = Math.min(2, window.devicePixelRatio || 1));
    const { cob, quality } = useSettings.getState();
    camera.width = Math.max(1, clientWidth - PRICE_WIDTH - (cob ? COB_WIDTH : 0));
    camera.height = Math.max(1, clientHeight - TIME_HEIGHT);
    const { width, height } = camera;
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
  }

  /** An empty layer, in the page's pixels. */
  begin(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
    const context = canvas.getContext("2d")!;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    return context;
  }

  /** Heatmap and marks as one, as they were drawn last. */
  async picture(camera: Camera, ground: string): Promise<Blob | null> {
    const out = document.createElement("canvas");
    [out.width, out.height] = [this.marks.width, this.marks.height];
    const context = out.getContext("2d")!;
    context.fillStyle = ground;
    context.fillRect(0, 0, out.width, out.height);
    context.drawImage(this.heat, 0, 0, camera.width * this.ratio, camera.height * this.ratio);
    context.drawImage(this.marks, 0, 0);
    return new Promise((done) => out.toBlob(done, "image/png"));
  }

  /** A canvas below the others. */
  private below(): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    canvas.className = "layer heat";
    this.root.prepend(canvas);
    return canvas;
  }
}
