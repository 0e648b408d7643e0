/**
 * Sizes of canvases. The pixels of a canvas that is only forgotten stay until the next garbage collection, which small
 * heaps rarely have: hundreds of images would cost gigabytes. A canvas without size has no pixels.
 */
export function resize(canvas: HTMLCanvasElement, width: number, height: number): void {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}

export function release(canvas: HTMLCanvasElement): void {
  resize(canvas, 0, 0);
}
