/** Modal questions and the help, as dialog elements: the browser keeps the focus inside and gives it back. */

import { h, messageOf, type Child } from "../dom";
import { bound, setSingleKeys, shown, singleKeys } from "./keys";

interface Choice {
  text: string;
  value: string;
  primary?: boolean;
}

/** Resolves with the value of the button, "" where it was closed. */
export function ask(title: string, content: Child[], choices: Choice[]): Promise<string> {
  return new Promise((resolve) => {
    const buttons = choices.map(({ text, value, primary }) =>
      h("button", { type: "submit", value, class: primary === true ? "primary" : "" }, text),
    );
    const form = h("form", { method: "dialog" }, ...content, h("div", { class: "buttons" }, ...buttons));
    const dialog = h("dialog", { "aria-label": title }, h("h2", {}, title), form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function help(): void {
  const sections = bound()
    .filter((group) => group.shortcuts.length > 0)
    .map((group) =>
      h(
        "section",
        {},
        h("h3", {}, group.title),
        h(
          "dl",
          {},
          ...group.shortcuts.flatMap((shortcut) => [
            h("dt", {}, ...shortcut.keys.flatMap((key, i) => [i > 0 ? " or " : "", h("kbd", {}, shown(key))])),
            h("dd", {}, shortcut.text),
          ]),
        ),
      ),
    );
  const box = h("input", { type: "checkbox", checked: singleKeys() });
  box.addEventListener("change", () => setSingleKeys(box.checked));
  const toggle = h("label", { class: "check" }, box, "Single keys work (switch off when you dictate)");
  void ask("Keyboard", [h("div", { class: "help", tabindex: "0" }, ...sections), toggle], [
    { text: "Close", value: "close", primary: true },
  ]);
}

const region = h("div", { class: "toasts", role: "status", "aria-live": "polite" });

/** A line that goes by itself; errors stay longer. */
export function toast(text: string, error = false): void {
  if (!region.isConnected) document.body.append(region);
  const line = h("div", { class: error ? "toast error" : "toast" }, text);
  region.append(line);
  while (region.children.length > 3) region.firstElementChild?.remove();
  window.setTimeout(() => line.remove(), error ? 9000 : 3000);
}

/** Shows an error that the user can do nothing about here. */
export function toastError(error: unknown): void {
  toast(messageOf(error), true);
}

const speech = h("div", { class: "unseen", role: "status", "aria-live": "polite" });

/** Said to screen readers only. */
export function say(text: string): void {
  if (!speech.isConnected) document.body.append(speech);
  speech.textContent = text;
}
