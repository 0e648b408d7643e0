/** Answers that are neither class nor stroke: empty, skip, start from the prediction, undo, redo, take back. */

import type { Annotation } from "../api/types";
import { h, replace } from "../dom";
import { ask } from "../shell/dialogs";
import { shown, type Shortcut } from "../shell/keys";

export interface Answers {
  empty?: () => void;
  startFromPrediction?: () => void;
  skip: (reason: string) => void;
  undo: () => void;
  redo: () => void;
  takeBack: () => void;
}

const REASONS = ["blurred", "wrong body part", "cannot tell", "duplicate"];

export class AnswerPanel {
  readonly element = h("div", { class: "answers" });
  readonly shortcuts: Shortcut[] = [];
  private readonly state = h("p", { class: "answer-state" });
  private readonly undo: HTMLButtonElement;
  private readonly redo: HTMLButtonElement;
  private readonly back: HTMLButtonElement;

  constructor(private readonly answers: Answers) {
    const { empty, startFromPrediction } = answers;
    if (startFromPrediction !== undefined) this.button("From prediction", ["r"], "start from the prediction", startFromPrediction);
    if (empty !== undefined) this.button("Empty", ["x"], "empty: nothing to see is the answer", empty);
    this.button("Skip…", ["s"], "skip with a reason", () => void this.skip());
    this.undo = this.button("Undo", ["u", "Ctrl+z"], "undo", answers.undo);
    this.redo = this.button("Redo", ["y", "Ctrl+Shift+Z", "Ctrl+y"], "redo", answers.redo);
    this.back = this.button("Take all back", [], "", () => void this.takeBack());
    this.element.append(this.state);
  }

  /** `background`: the mask shows nothing but background, which is no answer unless it is declared empty. */
  show(annotation: Annotation, background: boolean): void {
    this.undo.disabled = !annotation.can_undo;
    this.redo.disabled = !annotation.can_redo;
    this.back.disabled = annotation.revision === 0 || !annotation.can_undo;
    const parts = [
      annotation.skip === null ? "" : `Skipped${annotation.skip === "" ? "" : `: ${annotation.skip}`}.`,
      annotation.empty ? "Answer: empty mask." : "",
      annotation.mask === "edited" && !annotation.empty
        ? background
          ? "Nothing but background: press Empty if that is the answer."
          : "Mask painted, not merged yet."
        : "",
      annotation.mask === "prediction" ? "Mask started from the prediction." : "",
    ];
    replace(this.state, parts.filter(Boolean).join(" "));
  }

  private button(text: string, keys: string[], meaning: string, run: () => void): HTMLButtonElement {
    const button = h("button", { type: "button" }, text, keys[0] === undefined ? null : h("kbd", {}, shown(keys[0])));
    button.addEventListener("click", run);
    if (keys.length > 0) {
      this.shortcuts.push({ keys, text: meaning, repeats: meaning === "undo" || meaning === "redo", run: () => void (button.disabled || run()) });
    }
    this.element.append(button);
    return button;
  }

  private async skip(): Promise<void> {
    const input = h("input", { type: "text", name: "reason", list: "skip-reasons", autofocus: true, maxlength: "200", autocomplete: "off" });
    const list = h("datalist", { id: "skip-reasons" }, ...REASONS.map((value) => h("option", { value })));
    const answer = await ask("Skip this image", [h("label", {}, "Reason (may stay empty)", input), list], [
      { text: "Skip", value: "skip", primary: true },
      { text: "Cancel", value: "" },
    ]);
    if (answer === "skip") this.answers.skip(input.value.trim());
  }

  private async takeBack(): Promise<void> {
    const answer = await ask("Take back all changes of this image", [h("p", {}, "Everything since the last merge goes, undo included.")], [
      { text: "Take back", value: "yes" },
      { text: "Keep", value: "", primary: true },
    ]);
    if (answer === "yes") this.answers.takeBack();
  }
}
