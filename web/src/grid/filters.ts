/** Filters and order of the grid as a form; its state lives in the address. */

import { getJson, query } from "../api/client";
import type { Facet, Facets, Session } from "../api/types";
import { classifies } from "../app";
import { debounced, h, replace } from "../dom";

export const FILTERS = ["part", "label", "annotated", "prediction", "disagreement", "near_duplicate", "changed", "skipped", "group", "text"];
const ORDERS: [string, string][] = [
  ["manifest", "as in the manifest"],
  ["next", "what to annotate next"],
  ["doubt", "doubt, highest first"],
  ["disagreement", "disagreement, largest first"],
  ["name", "name"],
  ["group", "patient"],
];
const YES_NO = { yes: "yes", no: "no" };

interface Control {
  name: string;
  title: string;
  facet: keyof Facets;
  texts?: Record<string, string>;
}

export class Filters {
  readonly element = h("form", { class: "filters", role: "search", "aria-label": "Filters" });
  private readonly selects = new Map<string, HTMLSelectElement>();
  private readonly controls: Control[];
  private readonly summary = h("summary", {}, "Filter and sort");
  private facets: Facets | null = null;

  constructor(
    private readonly session: Session,
    private readonly parameters: URLSearchParams,
    private readonly onChange: (parameters: URLSearchParams) => void,
  ) {
    this.controls = [
      { name: "part", title: "Part", facet: "part" },
      ...(classifies(session) ? [{ name: "label", title: "Class", facet: "label" as const, texts: { "": "not labelled" } }] : []),
      { name: "annotated", title: "Annotated", facet: "annotated", texts: YES_NO },
      ...(session.runs.length > 0 ? this.ofRuns() : []),
      { name: "near_duplicate", title: "Near-duplicate", facet: "near_duplicate", texts: YES_NO },
      { name: "changed", title: "Changed, not merged", facet: "changed", texts: YES_NO },
      { name: "skipped", title: "Skipped", facet: "skipped", texts: YES_NO },
    ];
    this.build();
  }

  /** Counts beside each choice; `run` is the run whose predictions are meant. */
  async load(run: string | undefined): Promise<void> {
    this.facets = await getJson<Facets>(`api/facets${query({ run })}`);
    for (const control of this.controls) this.options(control);
  }

  private ofRuns(): Control[] {
    const predicted = classifies(this.session) ? [{ name: "prediction", title: "Prediction", facet: "prediction" as const }] : [];
    return [...predicted, { name: "disagreement", title: "Disagreement", facet: "disagreement", texts: YES_NO }];
  }

  private build(): void {
    const fields = this.controls.map((control) => {
      const select = h("select", { name: control.name });
      select.addEventListener("change", () => this.changed());
      this.selects.set(control.name, select);
      this.options(control);
      return h("label", {}, control.title, select);
    });
    const later = debounced(250, () => this.changed());
    const text = h("input", { type: "search", name: "text", value: this.parameters.get("text") ?? "", placeholder: "part of a name" });
    text.addEventListener("input", later);
    const group = h("input", { type: "search", name: "group", value: this.parameters.get("group") ?? "", placeholder: "exact" });
    group.addEventListener("change", () => this.changed());
    const clear = h("button", { type: "button", class: "plain" }, "Clear filters");
    clear.addEventListener("click", () => this.clear());
    const box = h(
      "details",
      { open: window.innerWidth > 800 },
      this.summary,
      h(
        "div",
        { class: "fields" },
        h("label", {}, "Name", text),
        ...fields,
        this.session.dataset.groups ? h("label", {}, "Patient", group) : null,
        this.runSelect(),
        this.orderSelect(),
        clear,
      ),
    );
    this.element.addEventListener("submit", (event) => event.preventDefault());
    this.element.append(box);
    this.summarise();
  }

  focusText(): void {
    this.element.querySelector("details")!.open = true;
    this.element.querySelector<HTMLInputElement>("input[name=text]")!.focus();
  }

  private orderSelect(): HTMLElement {
    const chosen = this.parameters.get("sort") ?? "manifest";
    const select = h(
      "select",
      { name: "sort" },
      ...ORDERS.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
    );
    select.addEventListener("change", () => this.changed());
    this.selects.set("sort", select);
    return h("label", {}, "Sort by", select);
  }

  private runSelect(): HTMLElement | null {
    if (this.session.runs.length === 0) return null;
    const chosen = this.parameters.get("run");
    const select = h(
      "select",
      { name: "run" },
      ...this.session.runs.map((run) => h("option", { value: run.key, selected: run.key === chosen }, run.name)),
    );
    select.addEventListener("change", () => this.changed());
    this.selects.set("run", select);
    return h("label", {}, "Predictions of", select);
  }

  private options({ name, facet, texts }: Control): void {
    const select = this.selects.get(name)!;
    const counts = (this.facets?.[facet] ?? {}) as Facet;
    const chosen = this.parameters.get(name);
    const values = Object.keys(counts);
    if (chosen !== null && !values.includes(chosen)) values.push(chosen);
    replace(
      select,
      h("option", { value: "\u0000" }, "any"),
      ...values.map((value) => {
        const text = texts?.[value] ?? (value === "" ? "none" : value);
        const count = counts[value];
        return h("option", { value, selected: value === chosen }, count === undefined ? text : `${text} (${count.toLocaleString("en")})`);
      }),
    );
    if (chosen === null) select.value = "\u0000";
  }

  private changed(): void {
    for (const [name, select] of this.selects) {
      const standard = name === "sort" ? "manifest" : "\u0000";
      if (select.value === standard) this.parameters.delete(name);
      else this.parameters.set(name, select.value);
    }
    for (const name of ["text", "group"]) {
      const value = this.element.querySelector<HTMLInputElement>(`input[name=${name}]`)?.value.trim() ?? "";
      if (value === "") this.parameters.delete(name);
      else this.parameters.set(name, value);
    }
    this.summarise();
    this.onChange(this.parameters);
  }

  private clear(): void {
    for (const name of FILTERS) {
      this.parameters.delete(name);
      const select = this.selects.get(name);
      if (select !== undefined) select.value = "\u0000";
    }
    for (const input of this.element.querySelectorAll<HTMLInputElement>("input")) input.value = "";
    this.summarise();
    this.onChange(this.parameters);
  }

  private summarise(): void {
    const active = FILTERS.filter((name) => this.parameters.has(name)).length;
    this.summary.textContent = active === 0 ? "Filter and sort" : `Filter and sort (${active} active)`;
  }
}
