/** What was changed and not merged yet, and the merge: a dry run first. */

import { getJson, send } from "../api/client";
import { onEvent } from "../api/events";
import type { Changes, Merged } from "../api/types";
import { changeCount, type App, type Screen } from "../app";
import { debounced, h, messageOf, plural, replace } from "../dom";
import { writes } from "../edit/writes";
import { address } from "../router";
import { toast, toastError } from "../shell/dialogs";

const WHAT = { labels: "class", mask: "mask", empty: "empty mask", skip: "skipped" };
const SHOWN = 500;

export function changesScreen(app: App): Screen {
  const list = h("div", {});
  const result = h("div", { class: "merge-result", role: "status" });
  const replaceBox = h("input", { type: "checkbox", checked: true });
  const heldOut = h("input", { type: "checkbox" });
  const dry = h("button", { type: "button", class: "primary" }, "Check the merge");
  const merge = h("button", { type: "button", disabled: true }, "Merge");

  async function load(): Promise<void> {
    const changes = await getJson<Changes>("api/changes");
    app.setCounts(changes.counts);
    const count = changeCount(changes.counts);
    dry.disabled = count === 0;
    if (count === 0) merge.disabled = true;
    replace(
      list,
      h("p", {}, count === 0 ? "Nothing is waiting to be merged." : summary(changes)),
      count === 0 ? null : table(changes),
      changes.images.length > SHOWN ? h("p", {}, `and ${plural(changes.images.length - SHOWN, "more image")}`) : null,
    );
  }

  async function run(dryRun: boolean): Promise<void> {
    dry.disabled = merge.disabled = true;
    replace(result, h("p", {}, dryRun ? "Checking…" : "Merging…"));
    try {
      while (writes.state.waiting > 0) await new Promise((wake) => window.setTimeout(wake, 100));
      const merged = await send<Merged>("POST", "api/merge", { dry_run: dryRun, replace: replaceBox.checked, held_out: heldOut.checked });
      replace(result, ...report(merged, dryRun));
      merge.disabled = !dryRun || merged.errors.length > 0;
      if (!dryRun && merged.errors.length === 0) {
        await app.reload();
        await load();
      }
    } catch (error) {
      replace(result, h("p", { class: "error" }, messageOf(error)));
    } finally {
      dry.disabled = changeCount(app.session.changes) === 0;
    }
  }

  dry.addEventListener("click", () => void run(true));
  merge.addEventListener("click", () => void run(false));
  for (const box of [replaceBox, heldOut]) box.addEventListener("change", () => (merge.disabled = true));
  const renew = debounced(400, () => void load().catch(toastError));
  const stopListening = onEvent("changed", () => {
    merge.disabled = true;
    renew();
  });
  void load().catch(toastError);
  const element = h(
    "div",
    { class: "page" },
    h("h1", {}, "Changes"),
    h("p", { class: "muted" }, "Answers are kept in a journal. A merge writes them into the next version of the data set; splits stay as they are."),
    h(
      "div",
      { class: "merge" },
      h("label", { class: "check" }, replaceBox, "replace annotations that are there already"),
      h("label", { class: "check" }, heldOut, "also in validation and test parts"),
      h("div", { class: "buttons" }, dry, merge),
    ),
    result,
    list,
  );
  return { element, refresh: renew, close: stopListening };
}

function summary({ counts }: Changes): string {
  const parts = [
    counts.labels > 0 ? plural(counts.labels, "class", "classes") : "",
    counts.masks > 0 ? plural(counts.masks, "mask") : "",
    counts.empty > 0 ? plural(counts.empty, "empty mask") : "",
    counts.skipped > 0 ? `${counts.skipped} skipped` : "",
  ];
  return `${parts.filter(Boolean).join(", ")} not merged.`;
}

function table({ images }: Changes): HTMLElement {
  return h(
    "table",
    { class: "list" },
    h("caption", { class: "unseen" }, "Changed images"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Image"), h("th", { scope: "col" }, "Change"))),
    h(
      "tbody",
      {},
      ...images.slice(0, SHOWN).map(({ n, name, what, all, labels, reason }) => {
        const texts: Record<string, string> = { labels: `: ${labels.join(", ") || "none"}`, skip: reason === null || reason === "" ? "" : `: ${reason}` };
        const text = (all ?? [what]).map((one) => `${WHAT[one]}${texts[one] ?? ""}`).join("; ");
        const link = h("a", { href: address("image", n, new URLSearchParams({ changed: "yes" })) }, name);
        return h("tr", {}, h("td", {}, link), h("td", {}, text));
      }),
    ),
  );
}

function report(merged: Merged, dryRun: boolean): HTMLElement[] {
  const numbers = `${merged.annotated} annotated, ${merged.replaced} replaced, ${merged.same} unchanged, ${merged.skipped} skipped`;
  const parts: HTMLElement[] = [];
  if (merged.errors.length > 0) {
    parts.push(h("p", { class: "error" }, `${plural(merged.errors.length, "error")}; nothing was written:`));
    parts.push(h("ul", { class: "error" }, ...merged.errors.map((text) => h("li", {}, text))));
  } else if (dryRun) parts.push(h("p", { class: "good" }, `No errors. Version ${merged.version + 1} would have: ${numbers}.`));
  else parts.push(h("p", { class: "good" }, `Merged: version ${merged.version}. ${numbers}.`));
  if (merged.notes.length > 0) parts.push(h("ul", {}, ...merged.notes.map((text) => h("li", {}, text))));
  if (!dryRun && merged.next !== "") parts.push(nextCommand(merged.next));
  return parts;
}

function nextCommand(command: string): HTMLElement {
  const copy = h("button", { type: "button", class: "plain" }, "Copy");
  copy.addEventListener("click", () => void navigator.clipboard.writeText(command).then(() => toast("copied"), () => undefined));
  return h("p", {}, "Next: ", h("code", {}, command), " ", copy);
}
