/** Tools of the mask: which, how large, which class. */

import type { Session } from "../api/types";
import { h, replace } from "../dom";
import { classColour } from "../image/palettes";
import { keepPreferences, preferences } from "../image/preferences";
import { shown, type Shortcut } from "../shell/keys";
import { TOOLS, type Editor, type Tool } from "./editor";

const TITLES: Record<Tool, [string, string, string]> = {
  pan: ["h", "Move", "move the image by dragging"],
  brush: ["b", "Brush", "brush"],
  eraser: ["e", "Eraser", "eraser"],
  polygon: ["g", "Polygon", "polygon: click corners or draw by free hand"],
  fill: ["f", "Fill", "fill a region"],
};

export class MaskPanel {
  readonly element: HTMLElement;
  readonly shortcuts: Shortcut[] = [];
  private readonly tools = new Map<Tool, HTMLButtonElement>();
  private readonly classes = new Map<number, HTMLButtonElement>();
  private readonly size = h("output", { class: "size" });

  constructor(
    private readonly session: Session,
    private readonly editor: Editor,
    /** Whether plain digits choose classes of the whole image. */
    digitsTaken: boolean,
  ) {
    this.element = h(
      "div",
      { class: "mask-tools", role: "toolbar", "aria-label": "Mask tools" },
      ...TOOLS.map((tool) => this.toolButton(tool)),
      this.sizeButtons(),
      ...this.classButtons(digitsTaken),
    );
    if (preferences.size !== null) editor.size = preferences.size;
    if ((TOOLS as readonly string[]).includes(preferences.tool)) editor.tool = preferences.tool as Tool;
    editor.onTool = () => {
      preferences.tool = editor.tool;
      preferences.size = editor.size;
      keepPreferences();
      this.show();
    };
    this.show();
  }

  private show(): void {
    for (const [tool, button] of this.tools) button.setAttribute("aria-pressed", String(tool === this.editor.tool));
    for (const [value, button] of this.classes) button.setAttribute("aria-pressed", String(value === this.editor.value));
    replace(this.size, `${this.editor.size} px`);
    this.editor.showTool();
  }

  private toolButton(tool: Tool): HTMLElement {
    const [key, title, text] = TITLES[tool];
    const button = h("button", { type: "button", title: text }, title, h("kbd", {}, shown(key)));
    button.addEventListener("click", () => this.editor.choose(tool));
    this.tools.set(tool, button);
    this.shortcuts.push({ keys: [key], text, run: () => this.editor.choose(tool) });
    return button;
  }

  private sizeButtons(): HTMLElement {
    const button = (text: string, label: string, steps: number): HTMLElement => {
      const made = h("button", { type: "button", "aria-label": label }, text);
      made.addEventListener("click", () => this.editor.resize(steps));
      return made;
    };
    this.shortcuts.push(
      { keys: ["["], text: "smaller brush", repeats: true, run: () => this.editor.resize(-1) },
      { keys: ["]"], text: "larger brush", repeats: true, run: () => this.editor.resize(1) },
    );
    return h("span", { class: "sizes" }, button("−", "Smaller brush", -1), this.size, button("+", "Larger brush", 1));
  }

  private classButtons(digitsTaken: boolean): HTMLElement[] {
    const { mask_classes, ignore } = this.session.dataset;
    const values = mask_classes.map((_, value) => value).slice(1);
    if (ignore !== null && !values.includes(ignore)) values.push(ignore);
    if (values.length < 2) return [];
    return values.map((value, i) => {
      const name = mask_classes[value] ?? "ignore";
      const square = h("i", { class: "swatch" });
      square.style.background = classColour(value, mask_classes.length, "edited", ignore);
      const key = i < 9 ? (digitsTaken ? `Shift+${i + 1}` : String(i + 1)) : undefined;
      const button = h("button", { type: "button" }, square, name, key === undefined ? null : h("kbd", {}, shown(key)));
      const choose = (): void => {
        this.editor.value = value;
        if (this.editor.tool === "eraser" || this.editor.tool === "pan") this.editor.choose("brush");
        else this.editor.onTool();
      };
      button.addEventListener("click", choose);
      this.classes.set(value, button);
      if (key !== undefined) this.shortcuts.push({ keys: [key], text: `paint ${name}`, run: choose });
      return button;
    });
  }
}
