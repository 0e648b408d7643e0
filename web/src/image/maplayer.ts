/** Draws a map of bytes (mask, difference, saliency, doubt) on a canvas of its own, only the part on the screen. */

import type { LabelMap } from "../edit/labelmap";
import { intersection, type Rect } from "../edit/rect";
import type { Palette } from "./palettes";
import { resize } from "./canvases";
import type { View } from "./view";

/** Opacity of the inside of a region beside that of its outline. */
const INSIDE = 0.5;

export class MapLayer {
  readonly canvas = document.createElement("canvas");
  map: LabelMap | null = null;
  private readonly context = this.canvas.getContext("2d")!;
  private shown = true;
  /** No insides of regions. */
  outlineOnly = false;

  constructor(
    readonly name: string,
    private readonly palette: Palette,
    /** Regions get an outline; maps of grey values do not. */
    private readonly regions: boolean,
  ) {
    this.canvas.className = "layer";
    this.canvas.dataset["layer"] = name;
    this.canvas.setAttribute("aria-hidden", "true");
  }

  get visible(): boolean {
    return this.shown;
  }

  set visible(shown: boolean) {
    this.shown = shown;
    this.canvas.hidden = !shown;
  }

  set opacity(value: number) {
    this.canvas.style.opacity = String(value);
  }

  /** Gives the canvas the size of the stage in screen pixels, or none at all while there is nothing to show. */
  fit(width: number, height: number): void {
    const needed = this.map !== null && this.shown;
    resize(this.canvas, needed ? width : 0, needed ? height : 0);
  }

  /** Draws the part of the image in `rect` (image pixels), or everything on the screen. */
  draw(view: View, rect?: Rect): void {
    const { canvas, map } = this;
    const screen = { x: 0, y: 0, w: canvas.width, h: canvas.height };
    if (map === null || canvas.width === 0) return;
    const area = intersection(rect === undefined ? screen : onScreen(view, rect), screen);
    if (area === null) return;
    const pixels = new ImageData(area.w, area.h);
    this.fill(new Uint32Array(pixels.data.buffer), area, view, map);
    this.context.putImageData(pixels, area.x, area.y);
  }

  private fill(out: Uint32Array, area: Rect, view: View, map: LabelMap): void {
    const reach = this.regions ? Math.max(1, Math.round(window.devicePixelRatio)) : 0;
    const columns = sampled(area.x - reach, area.w + 2 * reach, view.x, view.zoom, view.width, map.width);
    const rows = sampled(area.y - reach, area.h + 2 * reach, view.y, view.zoom, view.height, map.height);
    const inside = new Uint32Array(256).map((_, value) => this.insideOf(this.palette[value]!));
    for (let y = 0; y < area.h; y++) {
      const row = rows[y + reach]!;
      if (row < 0) continue;
      const up = rows[y]!;
      const down = rows[y + 2 * reach]!;
      for (let x = 0; x < area.w; x++) {
        const column = columns[x + reach]!;
        if (column < 0) continue;
        const value = map.data[row * map.width + column]!;
        if (value === 0) continue;
        const edge =
          this.regions &&
          (differs(map, up, column, value) ||
            differs(map, down, column, value) ||
            differs(map, row, columns[x]!, value) ||
            differs(map, row, columns[x + 2 * reach]!, value));
        out[y * area.w + x] = edge ? this.palette[value]! : inside[value]!;
      }
    }
  }

  private insideOf(colour: number): number {
    if (!this.regions) return colour;
    const alpha = this.outlineOnly ? 0 : Math.round((colour >>> 24) * INSIDE);
    return ((colour & 0xffffff) | (alpha << 24)) >>> 0;
  }
}

function differs(map: LabelMap, row: number, column: number, value: number): boolean {
  return row < 0 || column < 0 || map.data[row * map.width + column] !== value;
}

/** For each screen pixel the column (or row) of the map under its centre, -1 outside. */
function sampled(start: number, count: number, offset: number, zoom: number, size: number, cells: number): Int32Array {
  const scale = cells / size;
  return new Int32Array(count).map((_, i) => {
    const at = (start + i + 0.5 - offset) / zoom;
    return at < 0 || at >= size ? -1 : Math.min(cells - 1, Math.floor(at * scale));
  });
}

function onScreen(view: View, rect: Rect): Rect {
  const margin = 3;
  const from = view.toScreen(rect);
  const to = view.toScreen({ x: rect.x + rect.w, y: rect.y + rect.h });
  const x = Math.floor(from.x) - margin;
  const y = Math.floor(from.y) - margin;
  return { x, y, w: Math.ceil(to.x) + margin - x, h: Math.ceil(to.y) + margin - y };
}
