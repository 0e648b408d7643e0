/** Which maps lie over an image: what each shows, its key, and where it comes from. */

import { query, request } from "../api/client";
import type { ImageDetails, Prediction, Session } from "../api/types";
import { segments } from "../app";
import { decodeGrey } from "../edit/png";
import { MapLayer } from "./maplayer";
import { differencePalette, heatPalette, maskPalette, type Palette } from "./palettes";
import { keepPreferences, preferences, type LayerPreference } from "./preferences";
import type { Stage } from "./stage";
import { messageOf } from "../dom";

export interface LayerKind {
  name: "annotation" | "truth" | "prediction" | "difference" | "saliency" | "doubt";
  title: string;
  key: string;
  standard: LayerPreference;
}

export const KINDS: LayerKind[] = [
  { name: "saliency", title: "Saliency", key: "Shift+S", standard: { on: false, opacity: 0.6 } },
  { name: "doubt", title: "Doubt", key: "Shift+U", standard: { on: false, opacity: 0.7 } },
  { name: "truth", title: "Truth", key: "Shift+T", standard: { on: false, opacity: 0.8 } },
  { name: "prediction", title: "Prediction", key: "Shift+P", standard: { on: true, opacity: 0.7 } },
  { name: "difference", title: "Difference", key: "Shift+D", standard: { on: false, opacity: 0.8 } },
  { name: "annotation", title: "Annotation", key: "Shift+A", standard: { on: true, opacity: 0.8 } },
];

export function preferenceOf(kind: LayerKind): LayerPreference {
  return (preferences.layers[kind.name] ??= { ...kind.standard });
}

/** The layers of one stage: the truth and what one run says. */
export class Layers {
  readonly byName = new Map<string, MapLayer>();
  /** Why a layer has nothing to show. */
  readonly reasons = new Map<string, string>();
  onReason: () => void = () => undefined;
  private readonly asked = new Set<string>();
  private hidden = false;

  constructor(
    private readonly stage: Stage,
    private readonly image: ImageDetails,
    session: Session,
    readonly run: string | undefined,
    /** The mask that is painted on has no address of its own: the editor fills it. */
    editable: boolean,
  ) {
    for (const kind of KINDS) {
      if (!this.possible(kind, session, editable)) continue;
      const regions = kind.name !== "saliency" && kind.name !== "doubt";
      const layer = new MapLayer(kind.name, paletteOf(kind, session), regions);
      this.byName.set(kind.name, layer);
      stage.add(layer);
    }
    this.apply();
  }

  /** Follows the preferences: visibility, opacity, outlines; fetches what has become visible. */
  apply(): void {
    for (const kind of KINDS) {
      const layer = this.byName.get(kind.name);
      if (layer === undefined) continue;
      const preference = preferenceOf(kind);
      layer.visible = preference.on && !this.hidden;
      layer.opacity = preference.opacity;
      layer.outlineOnly = preferences.outline;
      if (layer.visible && layer.map === null && kind.name !== "annotation") void this.fetch(kind, layer);
    }
    this.stage.schedule();
  }

  hideAll(hidden: boolean): void {
    this.hidden = hidden;
    this.apply();
  }

  private get prediction(): Prediction | undefined {
    return this.image.predictions.find((prediction) => prediction.run === this.run);
  }

  private possible(kind: LayerKind, session: Session, editable: boolean): boolean {
    if (kind.name === "annotation") return editable;
    if (kind.name === "truth") return segments(session) && this.image.mask;
    if (kind.name === "saliency") return this.prediction?.saliency === true;
    if (kind.name === "difference") return this.prediction?.mask === true && this.image.mask;
    return this.prediction?.mask === true;
  }

  private address(kind: LayerKind): string {
    const base = `api/images/${this.image.n}`;
    const size = this.image.large ? "1280" : "full";
    if (kind.name === "truth") return `${base}/mask${query({ source: "truth", size: "full" })}`;
    if (kind.name === "prediction") return `${base}/mask${query({ source: "prediction", run: this.run, size: "full" })}`;
    return `${base}/${kind.name}${query({ run: this.run, size })}`;
  }

  private async fetch(kind: LayerKind, layer: MapLayer): Promise<void> {
    if (this.asked.has(kind.name)) return;
    this.asked.add(kind.name);
    this.reasons.set(kind.name, "…");
    this.onReason();
    try {
      const response = await request(this.address(kind));
      layer.map = await decodeGrey(await response.arrayBuffer());
      this.reasons.delete(kind.name);
      this.stage.schedule();
    } catch (error) {
      this.reasons.set(kind.name, messageOf(error));
    }
    this.onReason();
  }
}

function paletteOf(kind: LayerKind, session: Session): Palette {
  const { mask_classes, ignore } = session.dataset;
  if (kind.name === "difference") return differencePalette();
  if (kind.name === "saliency" || kind.name === "doubt") return heatPalette();
  return maskPalette(mask_classes.length, kind.name === "annotation" ? "edited" : kind.name, ignore);
}

export function setLayer(kind: LayerKind, change: Partial<LayerPreference>): void {
  Object.assign(preferenceOf(kind), change);
  keepPreferences();
}
