/** Draws the polygon in hand on the stage's sketch canvas. */

import { release, resize } from "../image/canvases";
import type { Stage } from "../image/stage";
import type { Point } from "./raster";

export function drawPolygon(stage: Stage, corners: readonly Point[], pointer: Point | null): void {
  const canvas = stage.sketch;
  if (corners.length === 0) {
    release(canvas);
    return;
  }
  resize(canvas, stage.width, stage.height);
  const context = canvas.getContext("2d")!;
  context.clearRect(0, 0, canvas.width, canvas.height);
  const ratio = window.devicePixelRatio;
  const points = [...corners, ...(pointer === null ? [] : [pointer])].map((point) => stage.view.toScreen(point));
  for (const [colour, width] of [
    ["#000000", 3.5],
    ["#ffffff", 1.5],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = width * ratio;
    context.beginPath();
    for (const point of points) context.lineTo(point.x, point.y);
    context.stroke();
  }
  context.fillStyle = "#ffffff";
  for (const corner of corners.slice(0, 1).map((point) => stage.view.toScreen(point))) {
    context.beginPath();
    context.arc(corner.x, corner.y, 5 * ratio, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}
