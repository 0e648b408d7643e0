/** A row for each layer: on or off, opacity, what its colours mean. */

import { h, replace } from "../dom";
import { shown, type Shortcut } from "../shell/keys";
import { KINDS, preferenceOf, setLayer, type LayerKind, type Layers } from "./layers";
import { DIFFERENCE, SOURCE_COLOURS } from "./palettes";
import { keepPreferences, preferences } from "./preferences";

export class LayerPanel {
  readonly element = h("fieldset", { class: "layers" }, h("legend", {}, "Layers"));
  readonly shortcuts: Shortcut[] = [];
  private readonly rows = new Map<string, { box: HTMLInputElement; reason: HTMLElement }>();
  private hidden = false;

  constructor(
    private readonly sets: Layers[],
    severalClasses: boolean,
  ) {
    for (const kind of [...KINDS].reverse()) {
      if (!sets.some((set) => set.byName.has(kind.name))) continue;
      this.element.append(this.row(kind, severalClasses));
      this.shortcuts.push({ keys: [kind.key], text: `${kind.title} on or off`, run: () => this.toggle(kind) });
    }
    if (this.rows.size === 0) this.element.append(h("p", { class: "muted" }, "No masks or maps of this image."));
    this.shortcuts.push(
      { keys: ["o"], text: "outlines only", run: () => this.outline() },
      { keys: ["v"], text: "hide or show all layers", run: () => this.hide() },
    );
    for (const set of sets) set.onReason = () => this.reasons();
    this.reasons();
  }

  private row(kind: LayerKind, severalClasses: boolean): HTMLElement {
    const preference = preferenceOf(kind);
    const box = h("input", { type: "checkbox", checked: preference.on });
    box.addEventListener("change", () => this.set(kind, box.checked));
    const slider = h("input", {
      type: "range",
      min: "0",
      max: "1",
      step: "0.05",
      value: String(preference.opacity),
      "aria-label": `${kind.title}: opacity`,
    });
    slider.addEventListener("input", () => {
      setLayer(kind, { opacity: Number(slider.value) });
      for (const set of this.sets) set.apply();
    });
    const reason = h("small", { class: "reason" });
    this.rows.set(kind.name, { box, reason });
    const key = h("kbd", { title: "key" }, shown(kind.key));
    return h(
      "div",
      { class: "layer-row" },
      h("label", { class: "check" }, box, swatch(kind, severalClasses), kind.title),
      slider,
      key,
      kind.name === "difference" ? differenceLegend() : null,
      reason,
    );
  }

  private toggle(kind: LayerKind): void {
    this.set(kind, !preferenceOf(kind).on);
  }

  private set(kind: LayerKind, on: boolean): void {
    setLayer(kind, { on });
    this.rows.get(kind.name)!.box.checked = on;
    for (const set of this.sets) set.apply();
  }

  private outline(): void {
    preferences.outline = !preferences.outline;
    keepPreferences();
    for (const set of this.sets) set.apply();
  }

  private hide(): void {
    this.hidden = !this.hidden;
    for (const set of this.sets) set.hideAll(this.hidden);
  }

  private reasons(): void {
    for (const [name, { reason }] of this.rows) {
      replace(reason, ...new Set(this.sets.map((set) => set.reasons.get(name)).filter((text) => text !== undefined)));
    }
  }
}

function swatch(kind: LayerKind, severalClasses: boolean): HTMLElement {
  const element = h("i", { class: `swatch ${kind.name}` });
  const source = kind.name === "annotation" ? "edited" : kind.name;
  if (!severalClasses && (source === "edited" || source === "truth" || source === "prediction")) {
    element.style.background = SOURCE_COLOURS[source];
  }
  return element;
}

function differenceLegend(): HTMLElement {
  const texts = ["", "both", "truth only", "prediction only", "other class"];
  return h(
    "small",
    { class: "legend" },
    ...texts.slice(1).map((text, i) => {
      const square = h("i", { class: "swatch" });
      square.style.background = DIFFERENCE[i + 1]!;
      return h("span", {}, square, text);
    }),
  );
}
