/** The picture under the masks: a small one at once, then the full one, or tiles where the page is large. */

import { query, request } from "../api/client";
import type { ImageDetails } from "../api/types";
import { release } from "./canvases";
import type { View } from "./view";

const FIRST = 1280;
const KEPT_TILES = 96;

interface Levels {
  low: number;
  high: number;
}

export class Picture {
  readonly canvas = document.createElement("canvas");
  levels: Levels | null;
  /** Settles when something of the image can be seen. */
  readonly ready: Promise<void>;
  private readonly context = this.canvas.getContext("2d", { alpha: true })!;
  private first: ImageBitmap | null = null;
  private full: ImageBitmap | null = null;
  private fullAsked = false;
  /** Null while a tile is on its way. */
  private readonly tiles = new Map<string, ImageBitmap | null>();
  private round = 0;

  constructor(
    private readonly image: ImageDetails,
    private readonly view: View,
    private readonly redraw: () => void,
  ) {
    this.canvas.className = "picture";
    this.canvas.setAttribute("aria-hidden", "true");
    this.levels = image.window === null ? null : { low: image.window.low, high: image.window.high };
    this.ready = this.load();
  }

  /** Asks for the picture again with another window and level; the old one stays until the new one is there. */
  async setLevels(levels: Levels): Promise<void> {
    this.levels = levels;
    await this.load();
  }

  /** Gives the pixels back at once; those of image elements would stay in the browser's caches. */
  close(): void {
    this.round++;
    release(this.canvas);
    this.forget();
  }

  private forget(): void {
    for (const picture of [this.first, this.full, ...this.tiles.values()]) picture?.close();
    this.first = this.full = null;
    this.fullAsked = false;
    this.tiles.clear();
  }

  draw(): void {
    const { context, canvas, view } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = view.zoom < 2;
    context.imageSmoothingQuality = "medium";
    const picture = this.full ?? this.first;
    if (picture === null || canvas.width === 0) return; // tiles wait, so that something is seen soon
    context.drawImage(picture, view.x, view.y, this.image.width * view.zoom, this.image.height * view.zoom);
    const resolved = picture.width / this.image.width;
    if (view.zoom <= resolved * 1.1 || resolved >= 1) return;
    if (this.image.large) this.drawTiles();
    else this.askFull();
  }

  private get small(): boolean {
    return Math.max(this.image.width, this.image.height) <= FIRST;
  }

  private address(path: string, parameters: Record<string, string>): string {
    const levels = this.levels === null ? {} : { low: this.levels.low, high: this.levels.high };
    return `api/images/${this.image.n}/${path}${query({ ...parameters, ...levels })}`;
  }

  private async load(): Promise<void> {
    const round = ++this.round;
    const loaded = await loadImage(this.address("picture", { size: this.small ? "full" : String(FIRST) }));
    if (round !== this.round) {
      loaded.close();
      return;
    }
    this.forget();
    this.first = loaded;
    this.redraw();
  }

  private askFull(): void {
    if (this.fullAsked) return;
    this.fullAsked = true;
    const round = this.round;
    loadImage(this.address("picture", { size: "full" }))
      .then((loaded) => {
        if (round !== this.round) {
          loaded.close();
          return;
        }
        this.full = loaded;
        this.redraw();
      })
      .catch(() => (this.fullAsked = false));
  }

  private drawTiles(): void {
    const { view, canvas, image } = this;
    const wanted = Math.floor(Math.log2(1 / view.zoom) + 0.25);
    const level = Math.min(image.levels - 1, Math.max(0, wanted));
    const span = image.tile * 2 ** level;
    const from = view.toImage({ x: 0, y: 0 });
    const to = view.toImage({ x: canvas.width, y: canvas.height });
    const last = { x: Math.ceil(image.width / span) - 1, y: Math.ceil(image.height / span) - 1 };
    for (let y = Math.max(0, Math.floor(from.y / span)); y <= Math.min(last.y, Math.floor(to.y / span)); y++) {
      for (let x = Math.max(0, Math.floor(from.x / span)); x <= Math.min(last.x, Math.floor(to.x / span)); x++) {
        this.drawTile(level, x, y, span);
      }
    }
    for (const [key, tile] of this.tiles) {
      if (this.tiles.size <= KEPT_TILES) break;
      tile?.close();
      this.tiles.delete(key);
    }
  }

  private drawTile(level: number, x: number, y: number, span: number): void {
    const key = `tiles/${level}/${x}/${y}`;
    const tile = this.tiles.get(key);
    if (tile === undefined) void this.fetchTile(key);
    if (tile === undefined || tile === null) return;
    this.tiles.delete(key);
    this.tiles.set(key, tile); // last in the order: used most recently
    const w = Math.min(span, this.image.width - x * span);
    const h = Math.min(span, this.image.height - y * span);
    const at = this.view.toScreen({ x: x * span, y: y * span });
    this.context.drawImage(tile, at.x, at.y, w * this.view.zoom, h * this.view.zoom);
  }

  private async fetchTile(key: string): Promise<void> {
    const round = this.round;
    this.tiles.set(key, null);
    try {
      const tile = await loadImage(this.address(key, {}));
      if (round === this.round && this.tiles.has(key)) this.tiles.set(key, tile);
      else tile.close();
      this.redraw();
    } catch {
      if (round === this.round) this.tiles.delete(key);
    }
  }
}

async function loadImage(address: string): Promise<ImageBitmap> {
  const response = await request(address);
  return createImageBitmap(await response.blob());
}
