/** Moves a pen over the image by arrow keys, so that every tool works without a pointer. */

import type { Stage } from "../image/stage";
import type { Editor } from "./editor";
import type { Point } from "./raster";

const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export class KeyboardPen {
  private at: Point;
  private held = false;
  private active = false;
  private readonly cross = document.createElement("div");

  constructor(
    private readonly stage: Stage,
    private readonly editor: Editor,
    private readonly say: (text: string) => void,
  ) {
    this.at = { x: stage.image.width / 2, y: stage.image.height / 2 };
    this.cross.className = "crosshair";
    this.cross.hidden = true;
    stage.element.append(this.cross);
    stage.view.onChange(() => this.place());
  }

  get on(): boolean {
    return this.active;
  }

  toggle(): void {
    this.active = !this.active;
    if (!this.active) this.lift();
    else if (this.editor.tool === "pan") this.editor.choose("brush");
    this.cross.hidden = !this.active;
    this.place();
    this.stage.element.focus();
    this.say(this.active ? "Pen on: arrow keys move it, space paints, Escape ends." : "Pen off.");
  }

  /** Returns whether the key was one of the pen's. */
  key(event: KeyboardEvent): boolean {
    if (!this.active) return false;
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) this.move(arrow, event.shiftKey);
    else if (event.key === " ") this.press();
    else if (event.key === "Enter" && this.editor.tool === "polygon") this.editor.closePolygon();
    else if (event.key === "Backspace" && this.editor.tool === "polygon") this.editor.removeCorner();
    else if (event.key === "Escape") {
      if (this.held || this.editor.drawing) {
        this.held = false;
        this.editor.cancel();
      } else this.toggle();
    } else return false;
    return true;
  }

  private move([dx, dy]: [number, number], fine: boolean): void {
    const step = fine ? 1 : Math.max(1, Math.round(this.editor.size / 2));
    const { width, height } = this.stage.image;
    this.at = {
      x: Math.min(width - 0.5, Math.max(0.5, this.at.x + dx * step)),
      y: Math.min(height - 0.5, Math.max(0.5, this.at.y + dy * step)),
    };
    this.stage.view.reveal(this.at);
    if (this.held) this.editor.extend([this.at]);
    this.place();
  }

  private press(): void {
    const strokes = this.editor.tool === "brush" || this.editor.tool === "eraser";
    if (this.held) this.lift();
    else {
      this.editor.begin(this.at);
      this.held = strokes;
      if (!strokes) this.editor.end();
    }
    this.say(this.held ? "Pen down." : "Pen up.");
  }

  private lift(): void {
    if (this.held) this.editor.end();
    this.held = false;
  }

  private place(): void {
    if (!this.active) return;
    const ratio = window.devicePixelRatio;
    const at = this.stage.view.toScreen(this.at);
    this.cross.style.transform = `translate(${at.x / ratio}px, ${at.y / ratio}px)`;
    this.editor.hover(this.at);
  }
}
