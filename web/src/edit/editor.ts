/** Paints on the mask of one image: tools in image coordinates, every finished stroke handed on as a rectangle. */

import type { MapLayer } from "../image/maplayer";
import type { Stage, StrokeTarget } from "../image/stage";
import { LabelMap } from "./labelmap";
import { floodFill, paintPolygon, paintSegment, snap, type Point } from "./raster";
import { intersection, union, type Rect } from "./rect";
import { drawPolygon } from "./sketch";

export const TOOLS = ["pan", "brush", "eraser", "polygon", "fill"] as const;
export type Tool = (typeof TOOLS)[number];
const SIZES = [1, 2, 3, 5, 7, 9, 12, 16, 20, 26, 34, 44, 58, 76, 100, 130, 170, 220];
/** A polygon closes when its first point is met within this many CSS pixels. */
const CLOSING = 10;

export class Editor implements StrokeTarget {
  tool: Tool = "pan";
  /** Diameter in image pixels. */
  size: number;
  value = 1;
  /** Set while an undo or a reload is under way: what is painted meanwhile would be lost. */
  locked = false;
  onStroke: (rect: Rect) => void = () => undefined;
  onTool: () => void = () => undefined;
  private readonly saved: LabelMap;
  private dirty: Rect | null = null;
  private last: Point | null = null;
  private polygon: Point[] = [];
  /** How many corners there were when the pointer went down: the rest were drawn by free hand. */
  private clicked = 0;
  private pointer: Point | null = null;
  private readonly ring = document.createElement("div");

  constructor(
    readonly map: LabelMap,
    private readonly stage: Stage,
    readonly layer: MapLayer,
  ) {
    this.saved = map.clone();
    this.size = SIZES.find((size) => size >= Math.min(map.width, map.height) / 24) ?? 20;
    this.layer.map = map;
    this.layer.fit(stage.width, stage.height);
    this.ring.className = "brush-ring";
    this.ring.hidden = true;
    stage.element.append(this.ring);
    stage.onSketch = () => this.sketch();
  }

  get painting(): boolean {
    return this.tool !== "pan" && !this.locked;
  }

  get drawing(): boolean {
    return this.last !== null || this.polygon.length > 0;
  }

  get background(): boolean {
    return !this.map.data.some((value) => value !== 0);
  }

  choose(tool: Tool): void {
    this.cancel();
    this.tool = tool;
    this.hover(this.pointer);
    this.onTool();
  }

  /** The pointer's shape follows the tool. */
  showTool(): void {
    this.stage.element.dataset["tool"] = this.tool;
  }

  resize(steps: number): void {
    const at = SIZES.findIndex((size) => size >= this.size);
    this.size = SIZES[Math.min(SIZES.length - 1, Math.max(0, at + steps))]!;
    this.hover(this.pointer);
    this.onTool();
  }

  /** Takes another mask, e.g. after an undo. */
  load(map: LabelMap): void {
    this.cancel();
    this.map.data.set(map.data);
    this.saved.data.set(map.data);
    this.stage.schedule();
  }

  begin(point: Point): void {
    if (!this.painting) return;
    if (this.tool === "fill") {
      this.changed(floodFill(this.map, Math.floor(point.x), Math.floor(point.y), this.value));
      this.commit();
    } else if (this.tool === "polygon") this.addCorner(point);
    else {
      this.last = snap(point, this.size);
      this.paintTo(this.last);
    }
  }

  extend(points: Point[]): void {
    if (this.tool === "polygon") this.trail(points);
    else if (this.last !== null) for (const point of points) this.paintTo(snap(point, this.size));
  }

  end(): void {
    if (this.tool === "polygon") {
      if (this.polygon.length - this.clicked > 8) this.closePolygon();
      return;
    }
    this.last = null;
    this.commit();
  }

  /** Takes back the stroke in hand; returns whether there was one. */
  cancel(): boolean {
    const drawing = this.drawing;
    this.last = null;
    this.polygon = [];
    if (this.dirty !== null) {
      this.map.copyFrom(this.saved, this.dirty);
      this.layer.draw(this.stage.view, this.dirty);
      this.dirty = null;
    }
    this.sketch();
    return drawing;
  }

  hover(point: Point | null): void {
    this.pointer = point;
    const round = this.tool === "brush" || this.tool === "eraser";
    this.ring.hidden = point === null || !round;
    if (point !== null && round) {
      const centre = this.stage.view.toScreen(snap(point, this.size));
      const ratio = window.devicePixelRatio;
      const across = (this.size * this.stage.view.zoom) / ratio;
      this.ring.style.width = this.ring.style.height = `${across}px`;
      this.ring.style.transform = `translate(${centre.x / ratio - across / 2}px, ${centre.y / ratio - across / 2}px)`;
    }
    if (this.polygon.length > 0) this.sketch();
  }

  closePolygon(): boolean {
    const corners = this.polygon;
    if (corners.length === 0) return false;
    this.polygon = [];
    this.changed(paintPolygon(this.map, corners, this.value));
    this.commit();
    this.sketch();
    return true;
  }

  removeCorner(): boolean {
    const removed = this.polygon.pop() !== undefined;
    this.sketch();
    return removed;
  }

  private paintTo(point: Point): void {
    const value = this.tool === "eraser" ? 0 : this.value;
    this.changed(paintSegment(this.map, this.last ?? point, point, this.size, value));
    this.last = point;
  }

  private addCorner(point: Point): void {
    const first = this.polygon[0];
    if (first !== undefined && this.polygon.length > 2 && this.distance(first, point) < CLOSING) this.closePolygon();
    else this.polygon.push(point);
    this.clicked = this.polygon.length;
    this.sketch();
  }

  /** A drag with the polygon tool draws by free hand: a corner for every few screen pixels. */
  private trail(points: Point[]): void {
    for (const point of points) {
      const before = this.polygon.at(-1);
      if (before !== undefined && this.distance(before, point) > 3) this.polygon.push(point);
    }
    this.sketch();
  }

  /** In CSS pixels. */
  private distance(a: Point, b: Point): number {
    return (Math.hypot(a.x - b.x, a.y - b.y) * this.stage.view.zoom) / window.devicePixelRatio;
  }

  private changed(rect: Rect | null): void {
    if (rect === null) return;
    this.dirty = union(this.dirty, rect);
    this.layer.draw(this.stage.view, rect);
  }

  private commit(): void {
    if (this.dirty === null) return;
    const rect = intersection(this.dirty, this.map.bounds);
    this.dirty = null;
    if (rect === null) return;
    const changed = differing(this.map, this.saved, rect);
    if (changed === null) return;
    this.saved.copyFrom(this.map, changed);
    this.onStroke(changed);
  }

  private sketch(): void {
    drawPolygon(this.stage, this.polygon, this.polygon.length > 0 ? this.pointer : null);
  }
}

/** The smallest rectangle inside `rect` outside which the two maps agree. */
function differing(a: LabelMap, b: LabelMap, rect: Rect): Rect | null {
  let [left, right, top, bottom] = [Number.POSITIVE_INFINITY, -1, -1, -1];
  for (let y = rect.y; y < rect.y + rect.h; y++) {
    for (let x = rect.x, i = y * a.width + rect.x; x < rect.x + rect.w; x++, i++) {
      if (a.data[i] === b.data[i]) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (top < 0) top = y;
      bottom = y;
    }
  }
  return right < 0 ? null : { x: left, y: top, w: right - left + 1, h: bottom - top + 1 };
}
