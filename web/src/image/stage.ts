/** The area that shows one image with its layers, and turns pointers into panning, zooming and strokes. */

import type { Point } from "../edit/raster";
import type { ImageDetails } from "../api/types";
import { h } from "../dom";
import { release, resize } from "./canvases";
import { MapLayer } from "./maplayer";
import { Picture } from "./picture";
import { View } from "./view";

/** What takes strokes, in image coordinates; absent where the stage only shows. */
export interface StrokeTarget {
  /** False where one finger or the main button pans instead. */
  readonly painting: boolean;
  begin(point: Point): void;
  extend(points: Point[]): void;
  end(): void;
  cancel(): void;
  hover(point: Point | null): void;
}

export class Stage {
  readonly element: HTMLElement;
  readonly picture: Picture;
  readonly layers: MapLayer[] = [];
  readonly sketch = h("canvas", { class: "sketch", "aria-hidden": "true" });
  target: StrokeTarget | null = null;
  /** Called with the way of a drag of the secondary button, in CSS pixels. */
  onLevelDrag: ((dx: number, dy: number) => void) | null = null;
  onSketch: (() => void) | null = null;
  private readonly pointers = new Map<number, Point>();
  private mode: "none" | "pan" | "stroke" | "levels" | "pinch" = "none";
  private readonly observer: ResizeObserver;
  private frame = 0;
  /** In screen pixels. */
  width = 1;
  height = 1;
  private readonly stopFollowing: () => void;

  constructor(
    readonly image: ImageDetails,
    label: string,
    readonly view: View = new View(image.width, image.height),
    /** A second stage beside a first follows its view; the first says how large it is. */
    private readonly leads = true,
  ) {
    this.element = h("div", { class: "stage", tabindex: "0", role: "application", "aria-label": label });
    this.picture = new Picture(image, view, () => this.schedule());
    this.element.append(this.picture.canvas, this.sketch);
    void this.picture.ready.then(
      () => (this.element.dataset["picture"] = "ready"),
      () => (this.element.dataset["picture"] = "missing"),
    );
    this.stopFollowing = view.onChange(() => this.schedule());
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
    this.listen();
  }

  destroy(): void {
    this.observer.disconnect();
    this.stopFollowing();
    window.cancelAnimationFrame(this.frame);
    for (const canvas of [this.sketch, ...this.layers.map((layer) => layer.canvas)]) release(canvas);
    for (const layer of this.layers) layer.map = null;
    this.picture.close();
  }

  add(layer: MapLayer): void {
    this.layers.push(layer);
    this.sketch.before(layer.canvas);
    this.schedule();
  }

  schedule(): void {
    if (this.frame !== 0) return;
    this.frame = window.requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  /** Screen pixels of a pointer in this stage. */
  at(event: { clientX: number; clientY: number }): Point {
    const box = this.element.getBoundingClientRect();
    const ratio = window.devicePixelRatio;
    return {
      x: (event.clientX - box.left - this.element.clientLeft) * ratio,
      y: (event.clientY - box.top - this.element.clientTop) * ratio,
    };
  }

  private draw(): void {
    const { dataset } = this.element;
    dataset["zoom"] = String(this.view.zoom);
    dataset["x"] = String(this.view.x);
    dataset["y"] = String(this.view.y);
    this.picture.draw();
    for (const layer of this.layers) {
      layer.fit(this.width, this.height);
      layer.draw(this.view);
    }
    this.onSketch?.();
  }

  private resize(): void {
    const ratio = window.devicePixelRatio;
    this.width = Math.max(1, Math.round(this.element.clientWidth * ratio));
    this.height = Math.max(1, Math.round(this.element.clientHeight * ratio));
    resize(this.picture.canvas, this.width, this.height);
    if (this.leads) this.view.resize(this.width, this.height);
    this.draw();
  }

  private listen(): void {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", (event) => this.up(event, false));
    element.addEventListener("pointercancel", (event) => this.up(event, true));
    element.addEventListener("pointerleave", () => this.target?.hover(null));
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    element.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.view.zoomAt(Math.exp(-event.deltaY * (event.deltaMode === 0 ? 0.0015 : 0.05)), this.at(event));
      },
      { passive: false },
    );
  }

  private down(event: PointerEvent): void {
    this.element.setPointerCapture(event.pointerId);
    this.element.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, this.at(event));
    if (this.pointers.size === 2) {
      if (this.mode === "stroke") this.target?.cancel();
      this.mode = "pinch";
    } else if (this.pointers.size > 2) return;
    else if (event.button === 2 && this.onLevelDrag !== null) this.mode = "levels";
    else if (event.button === 0 && this.target?.painting === true) {
      this.mode = "stroke";
      this.target.begin(this.view.toImage(this.at(event)));
    } else this.mode = "pan";
  }

  private move(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    const now = this.at(event);
    if (before === undefined || this.mode === "none") {
      this.target?.hover(this.view.toImage(now));
      return;
    }
    if (this.mode === "stroke") {
      const parts = event.getCoalescedEvents();
      const points = parts.length > 0 ? parts.map((part) => this.at(part)) : [now];
      this.target?.extend(points.map((point) => this.view.toImage(point)));
      this.target?.hover(this.view.toImage(now));
    } else if (this.mode === "pan") this.view.pan(now.x - before.x, now.y - before.y);
    else if (this.mode === "levels") this.onLevelDrag?.(now.x - before.x, now.y - before.y);
    else this.pinch(event.pointerId, before, now);
    this.pointers.set(event.pointerId, now);
  }

  private pinch(id: number, before: Point, now: Point): void {
    const other = [...this.pointers].find(([pointer]) => pointer !== id)?.[1];
    if (other === undefined) return;
    const was = Math.hypot(before.x - other.x, before.y - other.y);
    const is = Math.hypot(now.x - other.x, now.y - other.y);
    if (was > 1) this.view.zoomAt(is / was, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    this.view.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
  }

  private up(event: PointerEvent, cancelled: boolean): void {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.mode === "stroke") {
      if (cancelled) this.target?.cancel();
      else this.target?.end();
    }
    if (this.pointers.size === 0 || this.mode !== "pinch") this.mode = "none";
  }
}
