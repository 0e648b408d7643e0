/** Window and level of images with more than 8 bits: two numbers, two sliders, a drag of the secondary button. */

import type { ImageDetails } from "../api/types";
import { debounced, h } from "../dom";
import type { Picture } from "./picture";

interface LevelControl {
  element: HTMLElement;
  drag: (dx: number, dy: number) => void;
}

export function levelControl(image: ImageDetails, pictures: Picture[]): LevelControl | null {
  if (image.window === null) return null;
  const { min, max, low, high, bits } = image.window;
  const span = Math.max(1e-9, max - min);
  const whole = Number.isInteger(min) && Number.isInteger(max) && span > 20;
  const current = { level: (low + high) / 2, width: high - low };
  const ask = debounced(60, () => {
    const levels = { low: rounded(current.level - current.width / 2), high: rounded(current.level + current.width / 2) };
    for (const picture of pictures) void picture.setLevels(levels).catch(() => undefined);
  });
  const rounded = (value: number): number => (whole ? Math.round(value) : Number(value.toPrecision(6)));
  const step = whole ? 1 : span / 1000;
  const level = slider("Level", min, max, step);
  const width = slider("Window", step, span, step);

  function show(): void {
    for (const [control, value] of [
      [level, current.level],
      [width, current.width],
    ] as const) {
      control.range.value = String(value);
      control.number.value = String(rounded(value));
    }
  }

  function set(change: Partial<typeof current>): void {
    Object.assign(current, change);
    current.width = Math.min(span, Math.max(step, current.width));
    current.level = Math.min(max, Math.max(min, current.level));
    show();
    ask();
  }

  level.onValue = (value) => set({ level: value });
  width.onValue = (value) => set({ width: value });
  const reset = h("button", { type: "button", class: "plain" }, "Reset");
  reset.addEventListener("click", () => set({ level: (low + high) / 2, width: high - low }));
  show();
  const element = h(
    "fieldset",
    { class: "levels" },
    h("legend", {}, `Window and level (${bits} bits)`),
    level.element,
    width.element,
    h("p", { class: "muted" }, "Also: drag with the right button.", reset),
  );
  return {
    element,
    drag: (dx, dy) => set({ width: current.width + (dx * span) / 600, level: current.level + (dy * span) / 600 }),
  };
}

interface Slider {
  element: HTMLElement;
  range: HTMLInputElement;
  number: HTMLInputElement;
  onValue: (value: number) => void;
}

function slider(title: string, min: number, max: number, step: number): Slider {
  const limits = { min: String(min), max: String(max), step: String(step) };
  const range = h("input", { type: "range", ...limits, "aria-label": title });
  const number = h("input", { type: "number", ...limits, step: "any", "aria-label": `${title}: value` });
  const made: Slider = { element: h("div", { class: "level-row" }, h("span", {}, title), range, number), range, number, onValue: () => undefined };
  range.addEventListener("input", () => made.onValue(Number(range.value)));
  number.addEventListener("change", () => made.onValue(Number(number.value)));
  return made;
}
