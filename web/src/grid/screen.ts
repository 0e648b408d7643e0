/** The grid of the data set. */

import { onEvent } from "../api/events";
import type { Item } from "../api/types";
import { chosenRun, segments, type App, type Screen } from "../app";
import { debounced, h, plural, replace } from "../dom";
import { maskPalette } from "../image/palettes";
import { address, amend, go, type Route } from "../router";
import { say, toastError } from "../shell/dialogs";
import { bind } from "../shell/keys";
import { makeCell } from "./cell";
import { Filters, FILTERS } from "./filters";
import { Pages, type Query } from "./pages";
import { PredictButton } from "./predict";
import { SuggestButton } from "./suggest";
import { setThumbPalette } from "./thumb_mask";
import { VirtualGrid, type Range } from "./virtual";

/** The server's query for the parameters of an address. */
export function gridQuery(app: App, parameters: URLSearchParams): Query {
  const query: Query = {};
  for (const name of FILTERS) if (parameters.has(name)) query[name] = parameters.get(name)!;
  query["sort"] = parameters.get("sort") ?? "manifest";
  const run = chosenRun(app.session, parameters);
  if (run !== undefined) query["run"] = run.key;
  return query;
}

export function gridScreen(app: App, route: Route): Screen {
  const parameters = route.parameters;
  let pages = new Pages({});
  let range: Range = { first: 0, last: 0 };
  let focused = Number(parameters.get("at") ?? 0);
  let masks = parameters.get("masks") ?? "";

  const count = h("p", { class: "count", role: "status" });
  const grid = new VirtualGrid(
    () =>
      makeCell({
        at: (index) => pages.at(index),
        address: (index, item) => imageAddress(index, item),
        classes: () => chosenRun(app.session, parameters)?.task === "classification",
        maskOf: (item) => maskOf(item),
      }),
    "Images",
  );
  const filters = new Filters(app.session, parameters, () => {
    focused = 0;
    parameters.delete("at");
    grid.element.scrollTop = 0;
    start();
    showJobs();
    void filters.load(chosenRun(app.session, parameters)?.key).catch(toastError);
  });

  function imageAddress(index: number, item: Item): string {
    const kept = new URLSearchParams(parameters);
    kept.set("at", String(index));
    return address("image", item.n, kept);
  }

  function maskOf(item: Item): Record<string, string> | null {
    if (masks === "truth") return item.mask ? { source: item.changed ? "edited" : "truth" } : null;
    const run = chosenRun(app.session, parameters);
    return masks === "prediction" && run !== undefined && item.prediction !== null ? { source: "prediction", run: run.key } : null;
  }

  function start(): void {
    amend(address("images", "", parameters));
    pages.close();
    pages = new Pages(gridQuery(app, parameters));
    pages.onChange = () => {
      const total = pages.total ?? 0;
      if (total !== grid.count) grid.setCount(total);
      replace(count, total === 0 ? "No image fits these filters." : plural(total, "image"));
      grid.refill(false);
    };
    pages.onError = toastError;
    const size = grid.count;
    if (size === 0) pages.want(focused, focused);
    else {
      grid.refill(true);
      pages.want(grid.top, Math.max(grid.top, range.last - range.first));
    }
  }

  let placed = false;
  grid.onRange = (next) => {
    if (!placed && grid.count > 0) {
      placed = true;
      if (focused > 0) window.requestAnimationFrame(() => grid.focus(focused));
    }
    range = next;
    pages.want(next.first, next.last);
  };

  const renew = debounced(400, () => {
    void pages.renew(range.first, range.last).then(() => grid.refill(true), toastError);
    void filters.load(chosenRun(app.session, parameters)?.key).catch(toastError);
  });
  const endings = ["changed", "predicting", "findings", "suggested"].map((name) => onEvent(name, renew));

  const maskSelect = h(
    "select",
    { "aria-label": "Masks over the thumbnails" },
    ...[
      ["", "no masks"],
      ["truth", "masks: annotation"],
      ["prediction", "masks: prediction"],
    ].map(([value, text]) => h("option", { value: value!, selected: value === masks }, text)),
  );
  function colourMasks(): void {
    const { mask_classes, ignore } = app.session.dataset;
    setThumbPalette(maskPalette(mask_classes.length, masks === "truth" ? "truth" : "prediction", ignore));
  }
  colourMasks();
  maskSelect.addEventListener("change", () => {
    masks = maskSelect.value;
    if (masks === "") parameters.delete("masks");
    else parameters.set("masks", masks);
    colourMasks();
    amend(address("images", "", parameters));
    grid.refill(true);
  });

  function move(by: number): void {
    const inside = document.activeElement?.closest("a[data-index]") as HTMLElement | null;
    if (inside !== null && inside !== undefined) focused = Number(inside.dataset["index"]) + by;
    focused = Math.min(grid.count - 1, Math.max(0, focused));
    parameters.set("at", String(focused));
    grid.focus(focused);
    const item = pages.at(focused);
    if (item === undefined) say(`image ${focused + 1} of ${grid.count}`);
  }

  const unbind = bind("Images", [
    { keys: ["ArrowRight"], text: "next image", repeats: true, run: () => move(1) },
    { keys: ["ArrowLeft"], text: "previous image", repeats: true, run: () => move(-1) },
    { keys: ["ArrowDown"], text: "one row down", repeats: true, run: () => move(grid.perRow) },
    { keys: ["ArrowUp"], text: "one row up", repeats: true, run: () => move(-grid.perRow) },
    { keys: ["PageDown"], text: "one screen down", repeats: true, run: () => move(grid.perRow * grid.rowsShown) },
    { keys: ["PageUp"], text: "one screen up", repeats: true, run: () => move(-grid.perRow * grid.rowsShown) },
    { keys: ["Home"], text: "first image", run: () => move(-grid.count) },
    { keys: ["End"], text: "last image", run: () => move(grid.count) },
    { keys: ["Enter"], text: "open the image", run: () => openFocused() },
    { keys: ["/"], text: "search by name", run: () => filters.focusText() },
  ]);

  function openFocused(): void {
    const item = pages.at(focused);
    if (item !== undefined) go(imageAddress(focused, item));
  }

  const predict = new PredictButton(app.session.dataset.count);
  const suggest = new SuggestButton();
  function showJobs(): void {
    const run = chosenRun(app.session, parameters);
    predict.show(run);
    suggest.show(run, parameters.get("sort") === "next");
  }
  showJobs();
  const bar = h("div", { class: "grid-bar" }, count, suggest.element, predict.element, segments(app.session) ? maskSelect : null);
  const element = h("div", { class: "grid-screen" }, filters.element, bar, grid.element);
  start();
  void filters.load(chosenRun(app.session, parameters)?.key).catch(toastError);

  return {
    element,
    refresh: renew,
    close: () => {
      for (const end of endings) end();
      unbind();
      predict.close();
      suggest.close();
      pages.close();
      grid.close();
    },
  };
}
