/** Classes of the whole image as buttons with a key each. */

import type { Session } from "../api/types";
import { h } from "../dom";
import { shown, type Shortcut } from "../shell/keys";
import { classKeys } from "./class_keys";

export class LabelPanel {
  readonly element: HTMLElement;
  readonly shortcuts: Shortcut[] = [];
  private readonly buttons = new Map<string, HTMLButtonElement>();
  private chosen: string[] = [];

  constructor(
    private readonly session: Session,
    withMasks: boolean,
    private readonly onChoice: (labels: string[]) => void,
  ) {
    const { classes, multilabel } = session.dataset;
    const keys = classKeys(classes.length, withMasks);
    this.element = h(
      "fieldset",
      { class: "labels" },
      h("legend", {}, multilabel ? "Classes (any number)" : "Class"),
      ...classes.map((name, i) => this.button(name, keys[i])),
      multilabel ? this.noneButton() : null,
    );
    if (keys.length < classes.length) this.element.append(this.search());
  }

  show(labels: string[]): void {
    this.chosen = labels;
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(labels.includes(name)));
  }

  private button(name: string, key: string | undefined): HTMLElement {
    const button = h("button", { type: "button", "aria-pressed": "false" }, key === undefined ? null : h("kbd", {}, shown(key)), name);
    button.addEventListener("click", () => this.choose(name));
    button.disabled = this.session.read_only;
    this.buttons.set(name, button);
    if (key !== undefined && !this.session.read_only) {
      this.shortcuts.push({ keys: [key], text: `class ${name}`, run: () => this.choose(name) });
    }
    return button;
  }

  /** In a multi-label data set no class at all is an answer too. */
  private noneButton(): HTMLElement {
    const button = h("button", { type: "button", class: "plain" }, h("kbd", {}, "0"), "none of them");
    button.addEventListener("click", () => this.set([]));
    button.disabled = this.session.read_only;
    this.shortcuts.push({ keys: ["0"], text: "none of the classes", run: () => this.set([]) });
    return button;
  }

  /** More classes than keys: typed by name. */
  private search(): HTMLElement {
    const { classes } = this.session.dataset;
    const list = h("datalist", { id: "class-names" }, ...classes.map((name) => h("option", { value: name })));
    const input = h("input", { type: "search", list: "class-names", placeholder: "class by name", "aria-label": "Class by name" });
    input.addEventListener("change", () => {
      if (!classes.includes(input.value)) return;
      this.choose(input.value);
      input.value = "";
      input.blur();
    });
    return h("div", {}, input, list);
  }

  private choose(name: string): void {
    if (!this.session.dataset.multilabel) this.set([name]);
    else if (this.chosen.includes(name)) this.set(this.chosen.filter((other) => other !== name));
    else this.set([...this.chosen, name]);
  }

  private set(labels: string[]): void {
    this.show(labels);
    this.onChoice(labels);
  }
}
