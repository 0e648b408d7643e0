/** A mask in memory: one byte per pixel, its value the class index, rows from the top. */

import { intersection, type Rect } from "./rect";

export class LabelMap {
  constructor(
    readonly width: number,
    readonly height: number,
    readonly data: Uint8Array = new Uint8Array(width * height),
  ) {}

  get bounds(): Rect {
    return { x: 0, y: 0, w: this.width, h: this.height };
  }

  at(x: number, y: number): number {
    return this.data[y * this.width + x] ?? 0;
  }

  /** The pixels of `rect`, which must lie inside. */
  crop(rect: Rect): Uint8Array {
    const part = new Uint8Array(rect.w * rect.h);
    for (let row = 0; row < rect.h; row++) {
      const start = (rect.y + row) * this.width + rect.x;
      part.set(this.data.subarray(start, start + rect.w), row * rect.w);
    }
    return part;
  }

  /** Takes the pixels of `rect` from a map of the same size. */
  copyFrom(other: LabelMap, rect: Rect): void {
    const inside = intersection(rect, this.bounds);
    if (inside === null) return;
    for (let row = inside.y; row < inside.y + inside.h; row++) {
      const start = row * this.width + inside.x;
      this.data.set(other.data.subarray(start, start + inside.w), start);
    }
  }

  clone(): LabelMap {
    return new LabelMap(this.width, this.height, this.data.slice());
  }

  /** How many pixels have each class, by class index. */
  areas(): number[] {
    const counts = new Array<number>(256).fill(0);
    for (const value of this.data) counts[value]!++;
    return counts;
  }
}
