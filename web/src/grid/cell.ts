/** One image of the grid: thumbnail, name, what is known of it. */

import type { Item } from "../api/types";
import { h, replace } from "../dom";
import { drawThumbMask } from "./thumb_mask";
import type { Cell } from "./virtual";

/** A thumbnail is requested only where the scrolling rests this long (ms). */
const REST = 30;

interface CellSource {
  at(index: number): Item | undefined;
  address(index: number, item: Item): string;
  /** Whether predictions are classes of the image, not regions in it. */
  classes(): boolean;
  /** Which mask lies over thumbnails, as parameters of its address; null for none. */
  maskOf(item: Item): Record<string, string> | null;
}

export function makeCell(source: CellSource): Cell {
  const picture = h("img", { alt: "", width: "160", height: "160", decoding: "async", draggable: "false" });
  const overlay = h("canvas", { class: "thumb-mask", "aria-hidden": "true", hidden: true });
  const marks = h("span", { class: "marks" });
  const name = h("span", { class: "name" });
  const facts = h("span", { class: "facts" });
  const link = h("a", {}, h("span", { class: "thumb" }, picture, overlay, marks), " ", name, " ", facts);
  const element = h("li", { class: "cell" }, link);
  let timer = 0;
  let shown = -1;
  picture.addEventListener("load", () => picture.classList.add("loaded"));

  function clear(): void {
    window.clearTimeout(timer);
    picture.removeAttribute("src");
    picture.classList.remove("loaded");
    overlay.hidden = true;
    shown = -1;
  }

  function show(index: number): boolean {
    const item = source.at(index);
    link.classList.toggle("waiting", item === undefined);
    if (item === undefined) {
      clear();
      replace(name);
      replace(facts);
      replace(marks);
      link.removeAttribute("href");
      return false;
    }
    link.href = source.address(index, item);
    link.dataset["index"] = String(index);
    link.dataset["n"] = String(item.n);
    replace(name, item.name);
    name.title = item.name;
    replace(facts, ...described(item, source.classes()));
    replace(marks, ...marked(item));
    if (shown !== item.n) {
      clear();
      shown = item.n;
      timer = window.setTimeout(() => {
        picture.src = `api/images/${item.n}/picture?size=160`;
      }, REST);
    }
    const wanted = source.maskOf(item);
    overlay.hidden = true;
    if (wanted !== null) void drawThumbMask(overlay, item.n, wanted, () => shown === item.n);
    return true;
  }

  return { element, show, clear };
}

function described(item: Item, classes: boolean): (Node | string | null)[] {
  const predicted = classes ? (item.prediction?.labels ?? []) : [];
  const same = predicted.join() === (item.answer?.labels ?? item.labels).join();
  const truth = annotated(item);
  return [
    h("span", { class: truth === "" ? "truth missing" : "truth" }, truth === "" ? "not annotated" : truth),
    predicted.length > 0 && !same
      ? h("span", { class: item.annotated ? "predicted differs" : "predicted" }, `→ ${predicted.join(", ")}`)
      : null,
  ];
}

/** The annotation in words, what is not merged yet included; "" where there is none. */
function annotated(item: Item): string {
  const labels = item.answer?.labels ?? (item.labelled ? item.labels : null);
  if (labels !== null) return labels.length > 0 ? labels.join(", ") : "none of the classes";
  if (item.answer?.empty === true) return "empty mask";
  return item.mask || (item.answer != null && item.answer.mask !== "none") ? "mask" : "";
}

function marked(item: Item): (Node | null)[] {
  const doubt = item.prediction?.doubt;
  return [
    h("span", { class: "part" }, item.part),
    item.rank !== null ? mark("rank", `${item.rank}.`, "to annotate next") : null,
    item.duplicates > 0 ? mark("twins", `≈ ${item.duplicates}`, item.duplicates === 1 ? "near-duplicate" : "near-duplicates") : null,
    item.skipped ? h("span", { class: "skipped" }, "skipped") : null,
    item.changed ? mark("changed", "●", "changed, not merged") : null,
    doubt === null || doubt === undefined ? null : doubtBar(doubt),
  ];
}

/** A short mark; what it means is its tooltip and is read out. */
function mark(kind: string, text: string, meaning: string): HTMLElement {
  return h("span", { class: kind, title: meaning }, text, h("span", { class: "unseen" }, ` ${meaning}`));
}

function doubtBar(doubt: number): HTMLElement {
  const text = `doubt ${doubt.toFixed(2)}`;
  const bar = h("span", { class: "doubt-bar", title: text }, h("i"), h("span", { class: "unseen" }, text));
  (bar.firstElementChild as HTMLElement).style.width = `${Math.round(Math.min(1, Math.max(0, doubt)) * 100)}%`;
  return bar;
}
