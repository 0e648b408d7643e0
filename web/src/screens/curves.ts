/** Score by number of labels: a line with its interval for each technique, and the same as a table. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { TaskCurves } from "../api/types";
import { h, replace } from "../dom";

type Technique = TaskCurves["curves"][number];

/** Okabe and Ito (2008), darker on light grounds for contrast. */
const LIGHT = ["#0060a0", "#a85400", "#00704f", "#9c4a77", "#6b6300", "#b03a00", "#444444"];
const DARK = ["#56b4e9", "#e69f00", "#2fcf9f", "#e38bbd", "#f0e442", "#ff7f50", "#cccccc"];

/** Least range of the score's axis: differences far below what seeds make are not to fill it. */
const LEAST = 0.05;

function spread(_: uPlot, low: number, high: number): uPlot.Range.MinMax {
  const margin = Math.max(LEAST - (high - low), (high - low) * 0.1) / 2;
  return [low - margin, high + margin];
}

export class Curves {
  private readonly plot = h("div", { class: "plot", role: "img" });
  private readonly table = h("table", { class: "list" });
  readonly element = h("div", { class: "curves" }, this.plot, h("details", {}, h("summary", {}, "As a table"), h("div", { class: "wide" }, this.table)));
  private drawn: uPlot | null = null;
  private curves: Technique[] = [];
  private readonly dark = window.matchMedia("(prefers-color-scheme: dark)");
  private readonly observer = new ResizeObserver(() => this.resize());
  private readonly recolour = (): void => this.draw();

  constructor(private readonly metric: string) {
    this.observer.observe(this.plot);
    this.dark.addEventListener("change", this.recolour);
  }

  show(curves: Technique[]): void {
    this.curves = curves;
    this.draw();
    this.fillTable();
  }

  close(): void {
    this.observer.disconnect();
    this.dark.removeEventListener("change", this.recolour);
    this.drawn?.destroy();
  }

  private draw(): void {
    this.drawn?.destroy();
    this.drawn = null;
    const labels = [...new Set(this.curves.flatMap((curve) => curve.points.map((point) => point.labels)))].sort((a, b) => a - b);
    this.plot.setAttribute("aria-label", `${this.metric} of ${this.curves.map((curve) => curve.technique).join(", ")} by number of labels; the table below has the numbers`);
    if (labels.length === 0 || this.plot.clientWidth === 0) return;
    const colours = this.dark.matches ? DARK : LIGHT;
    const text = getComputedStyle(this.plot).color;
    const series: uPlot.Series[] = [{ label: "labels" }];
    const bands: uPlot.Band[] = [];
    const data: (number | null)[][] = [labels];
    this.curves.forEach((curve, i) => {
      const colour = colours[i % colours.length]!;
      const at = (pick: "mean" | "low" | "high"): (number | null)[] => labels.map((count) => curve.points.find((point) => point.labels === count)?.[pick] ?? null);
      const edge = { stroke: "transparent", points: { show: false }, spanGaps: true };
      data.push(at("mean"), at("high"), at("low"));
      series.push({ label: curve.technique, stroke: colour, width: 2, points: { show: true, size: 7, fill: colour }, spanGaps: true }, { ...edge, label: `${curve.technique} high` }, { ...edge, label: `${curve.technique} low` });
      bands.push({ series: [3 * i + 2, 3 * i + 3], fill: `${colour}26` });
    });
    const axis = { stroke: text, grid: { stroke: `${this.dark.matches ? "#ffffff" : "#000000"}1f` }, ticks: { stroke: text } };
    this.drawn = new uPlot(
      {
        width: this.plot.clientWidth,
        height: 320,
        scales: { x: { time: false, distr: labels[0]! > 0 ? 3 : 1, range: [labels[0]! * 0.85, labels.at(-1)! * 1.15 || 1] }, y: { range: spread } },
        axes: [
          { ...axis, label: "labels", splits: () => labels, values: () => labels.map((count) => count.toLocaleString("en")) },
          { ...axis, label: this.metric, size: 64 },
        ],
        series,
        bands,
        legend: { show: false },
      },
      data as uPlot.AlignedData,
      this.plot,
    );
    this.plot.append(this.legend(colours));
  }

  private legend(colours: string[]): HTMLElement {
    this.plot.querySelector(".plot-legend")?.remove();
    return h(
      "ul",
      { class: "plot-legend" },
      ...this.curves.map((curve, i) => {
        const square = h("i", { class: "swatch" });
        square.style.background = colours[i % colours.length]!;
        return h("li", {}, square, curve.technique);
      }),
    );
  }

  private resize(): void {
    if (this.drawn === null) this.draw();
    else this.drawn.setSize({ width: this.plot.clientWidth, height: 320 });
  }

  private fillTable(): void {
    replace(
      this.table,
      h("thead", {}, h("tr", {}, ...["Technique", "Labels", this.metric, "Interval", "Runs"].map((text) => h("th", { scope: "col" }, text)))),
      h(
        "tbody",
        {},
        ...this.curves.flatMap(({ technique, points }) =>
          points.map((point) =>
            h("tr", {}, h("td", {}, technique), h("td", {}, point.labels), h("td", {}, point.mean.toFixed(3)), h("td", {}, point.low === null || point.high === null ? "" : `${point.low.toFixed(3)} to ${point.high.toFixed(3)}`), h("td", {}, point.runs)),
          ),
        ),
      ),
    );
  }
}
