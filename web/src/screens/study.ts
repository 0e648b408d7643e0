/** A study as it runs: what runs, curves as they come, time left, the verdict. */

import { getJson } from "../api/client";
import { onEvent } from "../api/events";
import type { RunningRun, Study, TaskCurves } from "../api/types";
import type { App, Screen } from "../app";
import { h, messageOf, plural, replace } from "../dom";
import { Curves } from "./curves";

export function studyScreen(_app: App): Screen {
  const head = h("div", { role: "status" }, h("p", {}, "Loading…"));
  const running = h("div", {});
  const tasks = h("div", { class: "tasks" });
  const failed = h("div", {});
  const charts = new Map<string, Curves>();
  const verdicts = new Map<string, HTMLElement>();

  function show(study: Study): void {
    replace(head, ...summary(study));
    replace(running, study.running.length === 0 ? null : runningTable(study.running));
    for (const task of study.tasks) showTask(task);
    replace(
      failed,
      ...(study.failed.length === 0
        ? []
        : [h("h2", {}, "Failed"), h("ul", { class: "error" }, ...study.failed.map(({ run, error }) => h("li", {}, `${run}: ${error}`)))]),
    );
  }

  function showTask(task: TaskCurves): void {
    const key = `${task.dataset} ${task.task}`;
    let chart = charts.get(key);
    if (chart === undefined) {
      chart = new Curves(task.metric);
      const verdict = h("div", { class: "verdict" });
      charts.set(key, chart);
      verdicts.set(key, verdict);
      tasks.append(h("section", {}, h("h2", {}, `${task.dataset}, ${task.task}: ${task.metric} by number of labels`), verdict, chart.element));
    }
    chart.show(task.curves);
    replace(verdicts.get(key)!, ...task.verdict.map((sentence) => h("p", {}, sentence)));
  }

  async function load(): Promise<void> {
    try {
      show(await getJson<Study>("api/study"));
    } catch (error) {
      replace(head, h("p", { class: "error" }, messageOf(error)));
    }
  }

  const stopListening = onEvent<Study>("study", show);
  void load();
  return {
    element: h("div", { class: "page" }, h("h1", {}, "Study"), head, running, tasks, failed),
    refresh: () => void load(),
    close: () => {
      stopListening();
      for (const chart of charts.values()) chart.close();
    },
  };
}

function summary(study: Study): HTMLElement[] {
  const left = study.time_left_s === null || study.state !== "running" ? "" : `about ${duration(study.time_left_s)} left`;
  const text = [study.state, `${study.done} of ${plural(study.total, "run")} done`, left].filter(Boolean).join(" · ");
  return [
    h("p", {}, h("strong", {}, study.name), ` ${text}`),
    h("progress", { max: String(Math.max(1, study.total)), value: String(study.done), "aria-label": "Runs done" }),
  ];
}

function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function runningTable(runs: RunningRun[]): HTMLElement {
  const score = ({ score: value }: RunningRun): string => (value === null ? "" : `${value.name} ${value.value.toFixed(3)}`);
  return h(
    "table",
    { class: "list" },
    h("caption", {}, "Running now"),
    h("thead", {}, h("tr", {}, ...["Technique", "Labels", "Seed", "Epoch", "Score"].map((text) => h("th", { scope: "col" }, text)))),
    h(
      "tbody",
      {},
      ...runs.map((run) =>
        h(
          "tr",
          {},
          h("td", {}, run.technique),
          h("td", {}, run.labels ?? ""),
          h("td", {}, run.seed),
          h("td", {}, run.epoch === null ? "" : `${run.epoch} of ${run.epochs ?? "?"}`),
          h("td", {}, score(run)),
        ),
      ),
    ),
  );
}
