/** Which pixels a tool paints; every function paints in place and returns the rectangle it may have changed. */

import type { LabelMap } from "./labelmap";
import { intersection, type Rect } from "./rect";

export interface Point {
  x: number;
  y: number;
}

/** Where a brush of `diameter` pixels sits: on a pixel's centre when odd, on a corner when even, so that it is symmetric. */
export function snap(point: Point, diameter: number): Point {
  if (diameter % 2 === 1) return { x: Math.floor(point.x) + 0.5, y: Math.floor(point.y) + 0.5 };
  return { x: Math.round(point.x), y: Math.round(point.y) };
}

/**
 * Paints every pixel whose centre is within diameter / 2 of the segment from `a` to `b` (both snapped).
 * Coordinates are doubled, so all comparisons are between integers and exact.
 */
export function paintSegment(map: LabelMap, a: Point, b: Point, diameter: number, value: number): Rect | null {
  const reach = diameter / 2;
  const left = Math.floor(Math.min(a.x, b.x) - reach);
  const top = Math.floor(Math.min(a.y, b.y) - reach);
  const right = Math.ceil(Math.max(a.x, b.x) + reach);
  const bottom = Math.ceil(Math.max(a.y, b.y) + reach);
  const box = intersection({ x: left, y: top, w: right - left, h: bottom - top }, map.bounds);
  if (box === null) return null;
  const [ax, ay, bx, by] = [2 * a.x, 2 * a.y, 2 * b.x, 2 * b.y];
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const limit = diameter * diameter;
  for (let y = box.y; y < box.y + box.h; y++) {
    const py = 2 * y + 1 - ay;
    const qy = 2 * y + 1 - by;
    const row = y * map.width;
    for (let x = box.x; x < box.x + box.w; x++) {
      const px = 2 * x + 1 - ax;
      const along = px * dx + py * dy;
      let near: boolean;
      if (along <= 0) near = px * px + py * py <= limit;
      else if (along >= length) {
        const qx = 2 * x + 1 - bx;
        near = qx * qx + qy * qy <= limit;
      } else {
        const across = px * dy - py * dx;
        near = across * across <= limit * length;
      }
      if (near) map.data[row + x] = value;
    }
  }
  return box;
}

/** Paints every pixel whose centre is inside the polygon (even-odd rule, points in image coordinates). */
export function paintPolygon(map: LabelMap, points: readonly Point[], value: number): Rect | null {
  if (points.length < 3) return null;
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const left = Math.floor(Math.min(...xs));
  const top = Math.floor(Math.min(...ys));
  const box = intersection(
    { x: left, y: top, w: Math.ceil(Math.max(...xs)) - left, h: Math.ceil(Math.max(...ys)) - top },
    map.bounds,
  );
  if (box === null) return null;
  for (let y = box.y; y < box.y + box.h; y++) {
    const cuts = crossings(points, y + 0.5);
    for (let pair = 0; pair + 1 < cuts.length; pair += 2) {
      const from = Math.max(box.x, Math.ceil(cuts[pair]! - 0.5));
      const to = Math.min(box.x + box.w, Math.ceil(cuts[pair + 1]! - 0.5));
      if (to > from) map.data.fill(value, y * map.width + from, y * map.width + to);
    }
  }
  return box;
}

function crossings(points: readonly Point[], y: number): number[] {
  const cuts: number[] = [];
  for (let i = 0; i < points.length; i++) {
    const a = points[i]!;
    const b = points[(i + 1) % points.length]!;
    if (a.y <= y !== b.y <= y) cuts.push(a.x + ((y - a.y) / (b.y - a.y)) * (b.x - a.x));
  }
  return cuts.sort((first, second) => first - second);
}

/** Gives the region of one class around the pixel (4-connected) another class. */
export function floodFill(map: LabelMap, x: number, y: number, value: number): Rect | null {
  const { width, height, data } = map;
  if (x < 0 || y < 0 || x >= width || y >= height) return null;
  const old = map.at(x, y);
  if (old === value) return null;
  let [left, right, top, bottom] = [x, x, y, y];
  const stack = [y * width + x];
  while (stack.length > 0) {
    const seed = stack.pop()!;
    if (data[seed] !== old) continue;
    const row = Math.floor(seed / width);
    let from = seed;
    let to = seed;
    while (from > row * width && data[from - 1] === old) from--;
    while (to < (row + 1) * width - 1 && data[to + 1] === old) to++;
    data.fill(value, from, to + 1);
    left = Math.min(left, from - row * width);
    right = Math.max(right, to - row * width);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
    if (row > 0) seedRuns(data, old, from - width, to - width, stack);
    if (row < height - 1) seedRuns(data, old, from + width, to + width, stack);
  }
  return { x: left, y: top, w: right - left + 1, h: bottom - top + 1 };
}

/** One seed for each run of `old` between two positions of a row. */
function seedRuns(data: Uint8Array, old: number, from: number, to: number, stack: number[]): void {
  for (let i = from; i <= to; i++) if (data[i] === old && (i === from || data[i - 1] !== old)) stack.push(i);
}
