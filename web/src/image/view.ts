/** Where the image lies on the screen: `zoom` screen pixels per image pixel, `x`, `y` the screen position of its corner. */

import type { Point } from "../edit/raster";

const MOST = 64;

export class View {
  zoom = 1;
  x = 0;
  y = 0;
  private fitted = true;
  private readonly listeners = new Set<() => void>();
  private readonly box = { w: 1, h: 1 };

  constructor(
    readonly width: number,
    readonly height: number,
  ) {}

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Tells the size of the screen area in screen pixels; keeps the image whole in view if it was. */
  resize(w: number, h: number): void {
    const [dw, dh] = [(w - this.box.w) / 2, (h - this.box.h) / 2];
    this.box.w = w;
    this.box.h = h;
    if (this.fitted) this.fit();
    else this.set(this.zoom, this.x + dw, this.y + dh);
  }

  fit(): void {
    const zoom = Math.min(this.box.w / this.width, this.box.h / this.height);
    this.set(zoom, (this.box.w - this.width * zoom) / 2, (this.box.h - this.height * zoom) / 2);
    this.fitted = true;
  }

  /** One image pixel on `zoom` screen pixels, the middle of the screen kept where it is; whole screen positions. */
  exactly(zoom: number): void {
    const middle = this.toImage({ x: this.box.w / 2, y: this.box.h / 2 });
    this.set(zoom, Math.round(this.box.w / 2 - middle.x * zoom), Math.round(this.box.h / 2 - middle.y * zoom));
  }

  zoomAt(factor: number, at: Point = { x: this.box.w / 2, y: this.box.h / 2 }): void {
    const least = Math.min(1, this.box.w / this.width, this.box.h / this.height) / 2;
    const zoom = Math.min(MOST, Math.max(least, this.zoom * factor));
    const scale = zoom / this.zoom;
    this.set(zoom, at.x - (at.x - this.x) * scale, at.y - (at.y - this.y) * scale);
  }

  pan(dx: number, dy: number): void {
    this.set(this.zoom, this.x + dx, this.y + dy);
  }

  /** Moves the image so that the point of it is on the screen. */
  reveal(point: Point): void {
    const at = this.toScreen(point);
    const edge = 24;
    const dx = Math.max(0, edge - at.x) - Math.max(0, at.x - (this.box.w - edge));
    const dy = Math.max(0, edge - at.y) - Math.max(0, at.y - (this.box.h - edge));
    if (dx !== 0 || dy !== 0) this.pan(dx, dy);
  }

  toImage(screen: Point): Point {
    return { x: (screen.x - this.x) / this.zoom, y: (screen.y - this.y) / this.zoom };
  }

  toScreen(image: Point): Point {
    return { x: image.x * this.zoom + this.x, y: image.y * this.zoom + this.y };
  }

  private set(zoom: number, x: number, y: number): void {
    this.fitted = false;
    this.zoom = zoom;
    this.x = Math.min(this.box.w - 16, Math.max(16 - this.width * zoom, x));
    this.y = Math.min(this.box.h - 16, Math.max(16 - this.height * zoom, y));
    for (const listener of this.listeners) listener();
  }
}
