/** Colours a small mask over a thumbnail. */

import { query, request } from "../api/client";
import { decodeGrey } from "../edit/png";
import type { Palette } from "../image/palettes";

let palette: Palette = new Uint32Array(256);

export function setThumbPalette(colours: Palette): void {
  palette = colours;
}

/** Leaves the canvas hidden where there is no mask, or where `still` no longer holds. */
export async function drawThumbMask(
  canvas: HTMLCanvasElement,
  n: number,
  parameters: Record<string, string>,
  still: () => boolean,
): Promise<void> {
  try {
    await new Promise((rest) => window.setTimeout(rest, 120));
    if (!still()) return;
    const response = await request(`api/images/${n}/mask${query({ ...parameters, size: "320" })}`);
    const map = await decodeGrey(await response.arrayBuffer());
    if (!still()) return;
    canvas.width = map.width;
    canvas.height = map.height;
    const pixels = new ImageData(map.width, map.height);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < words.length; i++) words[i] = palette[map.data[i]!]!;
    canvas.getContext("2d")!.putImageData(pixels, 0, 0);
    canvas.hidden = false;
  } catch {
    canvas.hidden = true;
  }
}
