/** The screen of one image: where it stands in the order, and its workbench. */

import { getJson } from "../api/client";
import { onEvent } from "../api/events";
import type { ImageDetails } from "../api/types";
import { chosenRun, classifies, type App, type Screen } from "../app";
import { debounced, h, messageOf, replace } from "../dom";
import { writes } from "../edit/writes";
import { gridQuery } from "../grid/screen";
import { address, amend, go, type Route } from "../router";
import { say, toast, toastError } from "../shell/dialogs";
import { bind } from "../shell/keys";
import { orderOf } from "./order";
import { keepPreferences, preferences } from "./preferences";
import { presence } from "./presence";
import { advances, detailsAddress, Workbench } from "./workbench";

export function imageScreen(app: App, route: Route): Screen {
  const { parameters } = route;
  let n = Number(route.argument);
  let workbench: Workbench | null = null;
  let shownNumber = -1;
  let closeImage = (): void => undefined;
  const order = orderOf(gridQuery(app, parameters));
  const place = h("span", { class: "place" });
  const title = h("h1", {});
  const who = h("div", {});
  const body = h("div", { class: "bench" });


  async function open(): Promise<void> {
    const opened = n;
    const view = shownNumber === n ? workbench?.stages[0]?.view : undefined;
    closeImage();
    shownNumber = n;
    const runs = [chosenRun(app.session, parameters)?.key, ...app.session.runs.map((run) => run.key)];
    const wanted = [...new Set(runs.filter((run) => run !== undefined))].slice(0, 6);
    const image = await getJson<ImageDetails>(detailsAddress(n, wanted));
    if (opened !== n) return;
    if (image.width === 0) {
      replace(title, image.name);
      replace(body, h("p", { class: "empty", role: "alert" }, image.findings.join(" ") || "this image cannot be read"));
      void locate(opened);
      return;
    }
    const bench = new Workbench(app, image, parameters, view);
    const here = presence(n);
    workbench = bench;
    bench.onAnswer = () => {
      if (advances()) void step(1);
    };
    closeImage = () => {
      bench.close();
      here.close();
      workbench = null;
      closeImage = () => undefined;
    };
    replace(title, image.name, h("small", {}, ` ${[image.part, image.group].filter(Boolean).join(" · ")}`));
    replace(who, here.element);
    replace(body, bench.stageArea, bench.tools, bench.side);
    say(`image ${image.name}`);
    void locate(opened);
  }

  async function locate(opened: number): Promise<void> {
    await order.open(opened, Number(parameters.get("at") ?? 0));
    if (opened !== n) return;
    replace(place, `${(order.indexOf(n) + 1).toLocaleString("en")} of ${order.total.toLocaleString("en")}`);
    const next = await order.after(n);
    if (next !== null) new Image().src = `api/images/${next}/picture?size=1280`;
  }

  async function step(by: 1 | -1): Promise<void> {
    if (workbench?.busy === true) return;
    const from = n;
    await order.open(n, Number(parameters.get("at") ?? 0));
    const to = by === 1 ? await order.after(n) : await order.before(n);
    if (from !== n) return;
    if (to === null) {
      toast(by === 1 ? "This is the last image." : "This is the first image.");
      return;
    }
    n = to;
    parameters.set("at", String(Math.max(0, order.indexOf(to))));
    amend(address("image", n, parameters));
    await open();
  }

  function back(): void {
    const kept = new URLSearchParams(parameters);
    kept.delete("beside");
    go(address("images", "", kept));
  }

  const stepping = (by: 1 | -1) => (): void => void step(by).catch(toastError);
  const unbind = bind("Image", [
    { keys: ["ArrowRight", "n"], text: "next image", repeats: true, run: stepping(1) },
    { keys: ["ArrowLeft", "p"], text: "previous image", repeats: true, run: stepping(-1) },
    { keys: ["Escape", "Shift+G"], text: "back to the grid", run: () => void (workbench?.busy === true || back()) },
    ...(app.session.runs.length > 1 ? [{ keys: ["c"], text: "two runs side by side", run: () => compare() }] : []),
  ]);

  const besideSelect = runSelect("beside", "Beside", "nothing");
  const runChoice = runSelect("run", "Run", "no run");
  runChoice.value = chosenRun(app.session, parameters)?.key ?? "none";

  function runSelect(name: string, label: string, nothing: string): HTMLSelectElement {
    const chosen = parameters.get(name) ?? "none";
    const select = h(
      "select",
      { "aria-label": label },
      h("option", { value: "none" }, nothing),
      ...app.session.runs.map((run) => h("option", { value: run.key, selected: run.key === chosen }, run.name)),
    );
    select.addEventListener("change", () => {
      if (select.value === "none" && name === "beside") parameters.delete(name);
      else parameters.set(name, select.value);
      amend(address("image", n, parameters));
      void open().catch(toastError);
    });
    return select;
  }

  function compare(): void {
    const other = app.session.runs.find((run) => run.key !== chosenRun(app.session, parameters)?.key);
    besideSelect.value = besideSelect.value === "none" ? (other?.key ?? "none") : "none";
    besideSelect.dispatchEvent(new Event("change"));
  }

  const button = (text: string, label: string, run: () => void): HTMLElement => {
    const made = h("button", { type: "button", "aria-label": label, title: label }, text);
    made.addEventListener("click", run);
    return made;
  };
  const bar = h(
    "div",
    { class: "image-bar" },
    button("Grid", "Back to the grid (Esc)", back),
    button("←", "Previous image (←)", stepping(-1)),
    place,
    button("→", "Next image (→)", stepping(1)),
    title,
    app.session.runs.length > 0 ? h("label", {}, "Run ", runChoice) : null,
    app.session.runs.length > 1 ? h("label", {}, "Beside ", besideSelect) : null,
    classifies(app.session) && !app.session.read_only ? advanceBox() : null,
  );

  const stopListening = onEvent<{ n: number; by: string }>("changed", ({ n: changed, by }) => {
    if (changed !== n || by === app.session.client || workbench === null || writes.pending(n)) return;
    toast(`${by} changed this image`);
    workbench.reload().catch(toastError);
  });
  const withPrediction = debounced(300, () => {
    if (workbench?.lacksPrediction === true && !workbench.busy && !writes.pending(n)) void open().catch(toastError);
  });
  const stopWaiting = onEvent<{ n: number }>("predicted", ({ n: predicted }) => {
    if (predicted === n) withPrediction();
  });
  writes.onConflict = (conflicted) => {
    if (conflicted === n && workbench !== null) workbench.stale = true;
  };

  open().catch((error: unknown) => {
    replace(body, h("p", { class: "empty", role: "alert" }, messageOf(error)));
  });

  return {
    element: h("div", { class: "image-screen" }, bar, who, body),
    update: (next) => {
      if (next.argument === "" || Number.isNaN(Number(next.argument))) return false;
      n = Number(next.argument);
      for (const name of [...parameters.keys()]) parameters.delete(name);
      for (const [name, value] of next.parameters) parameters.set(name, value);
      void open().catch(toastError);
      return true;
    },
    refresh: () => void workbench?.reload().catch(toastError),
    close: () => {
      closeImage();
      stopListening();
      stopWaiting();
      unbind();
    },
  };
}

function advanceBox(): HTMLElement {
  const box = h("input", { type: "checkbox", checked: preferences.advance });
  box.addEventListener("change", () => {
    preferences.advance = box.checked;
    keepPreferences();
  });
  return h("label", { class: "check" }, box, "next image after an answer");
}
