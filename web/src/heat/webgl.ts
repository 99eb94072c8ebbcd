/** The heatmap on a graphics card: codes in a ring texture, one row of it a column of the picture.
 *
 * Nothing is computed in floats there: which buckets and rows a pixel looks at, and which colour a
 * code has, come in small textures made here. */
import type { Pyramid } from "../market/pyramid";
import type { Ring } from "../market/ring";
import { HATCH, HATCH_PERIOD, HATCH_WIDTH, type Look, table, UNKNOWN } from "./colours";
import { askRow } from "./canvas";
import { axis, rowAxis, TAPS, type HeatRenderer, type View } from "./renderer";

const VERTEX = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0;
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
precision highp int;
precision highp isampler2D;
precision highp usampler2D;
uniform usampler2D codes;
uniform isampler2D columns;
uniform isampler2D across;
uniform isampler2D down;
uniform sampler2D colours;
uniform ivec4 shape;
uniform vec3 unknown;
uniform vec3 stripe;
uniform vec3 between;
out vec4 colour;
int wrap(int value, int size) { int rest = value % size; return rest < 0 ? rest + size : rest; }
void main() {
  int x = int(gl_FragCoord.x);
  int y = shape.w - 1 - int(gl_FragCoord.y);
  ivec2 inTime = texelFetch(across, ivec2(x, 0), 0).rg;
  ivec2 inPrice = texelFetch(down, ivec2(y, 0), 0).rg;
  int best = -1;
  int side = 0;
  for (int i = 0; i < ${TAPS}; i++) {
    if (i >= inTime.y) break;
    int bucket = inTime.x + i;
    int slot = wrap(bucket, shape.y);
    ivec4 column = texelFetch(columns, ivec2(0, slot), 0);
    if (column.g != bucket) continue;
    for (int j = 0; j < ${TAPS}; j++) {
      if (j >= inPrice.y) break;
      int row = inPrice.x + j;
      if (row < column.r || row >= column.r + column.a) continue;
      int code = int(texelFetch(codes, ivec2(wrap(row, shape.x), slot), 0).r);
      if (code > best) { best = code; side = row >= column.b ? 1 : 0; }
    }
  }
  if (best < 0) colour = vec4(unknown, 1.0);
  else if (best == 255) colour = vec4((x + y) % ${HATCH_PERIOD} < ${HATCH_WIDTH} ? stripe : between, 1.0);
  else colour = vec4(texelFetch(colours, ivec2(best, side), 0).rgb, 1.0);
}`;

const EMPTY = -0x80000000;
const NEVER = 0x7fffffff;
/** More slots than this are written as one. */
const MANY = 256;

interface Level {
  codes: WebGLTexture;
  columns: WebGLTexture;
  dirty: Set<number>;
  all: boolean;
}

export function drawWebGl(canvas: HTMLCanvasElement, pyramid: Pyramid): HeatRenderer {
  const options = { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true };
  const gl = canvas.getContext("webgl2", options) as WebGL2RenderingContext | null;
  if (!gl) throw new Error("expected WebGL2");
  return new WebGlHeat(canvas, gl, pyramid);
}

/** Whether a processor draws, not a graphics card. */
export function isSoftware(gl: WebGL2RenderingContext): boolean {
  const told = gl.getExtension("WEBGL_debug_renderer_info");
  const name = told ? String(gl.getParameter(told.UNMASKED_RENDERER_WEBGL)) : "";
  return /SwiftShader|llvmpipe|Software|Basic Render/i.test(name);
}

export class WebGlHeat implements HeatRenderer {
  readonly kind = "webgl2";
  lost = false;
  restored: () => void = () => {};
  private levels = new Map<number, Level>();
  private program!: WebGLProgram;
  private uniforms!: Record<string, WebGLUniformLocation | null>;
  private across!: WebGLTexture;
  private down!: WebGLTexture;
  private colours!: WebGLTexture;
  private look = "";
  private group = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    readonly gl: WebGL2RenderingContext,
    private readonly pyramid: Pyramid,
  ) {
    this.begin();
    canvas.addEventListener("webglcontextlost", this.onLost);
    canvas.addEventListener("webglcontextrestored", this.onRestored);
  }

  changed(level: number, slot: number): void {
    this.levels.get(level)?.dirty.add(slot);
  }

  cleared(): void {
    for (const level of this.levels.values()) level.all = true;
  }

  dispose(): void {
    this.canvas.removeEventListener("webglcontextlost", this.onLost);
    this.canvas.removeEventListener("webglcontextrestored", this.onRestored);
  }

  draw(view: View, look: Look): void {
    const { gl, canvas } = this;
    if (this.lost || canvas.width === 0 || canvas.height === 0) return;
    const ring = this.pyramid.rings[view.level];
    if (view.group !== this.group) {
      this.group = view.group;
      this.cleared();
    }
    const level = this.upload(view.level, ring, view);
    const across = new Int32Array(2 * canvas.width);
    const down = new Int32Array(2 * canvas.height);
    axis(across, canvas.width, view.fromMs / ring.bucketMs, view.msPerPixel / ring.bucketMs, ring.bucketOrigin);
    rowAxis(down, canvas.height, view, ring.rowOrigin);
    this.line(this.across, across);
    this.line(this.down, down);
    this.colour(look);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.useProgram(this.program);
    const textures = [level.codes, level.columns, this.across, this.down, this.colours];
    textures.forEach((texture, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      gl.bindTexture(gl.TEXTURE_2D, texture);
    });
    gl.uniform4i(this.uniforms.shape, ring.rows, ring.slots, canvas.width, canvas.height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  private begin(): void {
    const { gl } = this;
    this.levels.clear();
    this.look = "";
    this.program = link(gl);
    const names = ["codes", "columns", "across", "down", "colours", "shape", "unknown", "stripe", "between"];
    this.uniforms = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(this.program, name)]));
    gl.useProgram(this.program);
    names.slice(0, 5).forEach((name, unit) => gl.uniform1i(this.uniforms[name], unit));
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    this.across = texture(gl);
    this.down = texture(gl);
    this.colours = texture(gl);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, 256, 2);
  }

  private upload(nth: number, ring: Ring, view: View): Level {
    const { gl } = this;
    let level = this.levels.get(nth);
    if (!level) {
      const codes = texture(gl);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R8UI, ring.rows, ring.slots);
      const columns = texture(gl);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA32I, 1, ring.slots);
      level = { codes, columns, dirty: new Set(), all: true };
      this.levels.set(nth, level);
    }
    if (level.all || level.dirty.size > MANY) {
      this.write(level, ring, view, 0, ring.slots);
    } else {
      for (const slot of level.dirty) this.write(level, ring, view, slot, 1);
    }
    level.all = false;
    level.dirty.clear();
    return level;
  }

  private write(level: Level, ring: Ring, view: View, from: number, count: number): void {
    const { gl } = this;
    const codes = ring.codes.subarray(from * ring.rows, (from + count) * ring.rows);
    gl.bindTexture(gl.TEXTURE_2D, level.codes);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, from, ring.rows, count, gl.RED_INTEGER, gl.UNSIGNED_BYTE, codes);
    const columns = new Int32Array(4 * count);
    for (let nth = 0; nth < count; nth++) {
      const slot = from + nth;
      const row = askRow(ring.asks[slot], view);
      columns[4 * nth] = ring.bases[slot] - ring.rowOrigin;
      columns[4 * nth + 1] = ring.buckets[slot] < 0 ? EMPTY : ring.buckets[slot] - ring.bucketOrigin;
      columns[4 * nth + 2] = Number.isFinite(row) ? row - ring.rowOrigin : NEVER;
      columns[4 * nth + 3] = ring.heights[slot];
    }
    gl.bindTexture(gl.TEXTURE_2D, level.columns);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, from, 1, count, gl.RGBA_INTEGER, gl.INT, columns);
  }

  private line(target: WebGLTexture, values: Int32Array): void {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, target);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RG32I, values.length / 2, 1, 0, gl.RG_INTEGER, gl.INT, values);
  }

  private colour(look: Look): void {
    const name = JSON.stringify(look);
    if (name === this.look) return;
    this.look = name;
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.colours);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 256, 2, gl.RGBA, gl.UNSIGNED_BYTE, table(look));
    gl.useProgram(this.program);
    const [stripe, between] = HATCH[look.theme];
    for (const [uniform, rgb] of [["unknown", UNKNOWN[look.theme]], ["stripe", stripe], ["between", between]] as const) {
      gl.uniform3f(this.uniforms[uniform], rgb[0] / 255, rgb[1] / 255, rgb[2] / 255);
    }
  }

  private readonly onLost = (event: Event): void => {
    event.preventDefault();
    this.lost = true;
  };

  private readonly onRestored = (): void => {
    this.lost = false;
    this.begin();
    this.restored();
  };
}

function texture(gl: WebGL2RenderingContext): WebGLTexture {
  const made = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return made;
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(kind);
    if (!shader) throw new Error("expected a shader");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`the heatmap's program can't be linked: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}
