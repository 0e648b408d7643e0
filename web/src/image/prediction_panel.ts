/** What each run says of the image: classes with probabilities, doubt, score. */

import type { ImageDetails, Score, Session } from "../api/types";
import { h } from "../dom";

/** `asked`: the runs whose layers are shown; those not predicted yet are said to be under way. */
export function predictionPanel(image: ImageDetails, session: Session, asked: string[]): HTMLElement | null {
  const missing = asked.filter((run) => !image.predictions.some((prediction) => prediction.run === run));
  if (image.predictions.length === 0 && missing.length === 0) return null;
  const nameOf = (key: string): string => session.runs.find((run) => run.key === key)?.name ?? key;
  return h(
    "section",
    { class: "predictions" },
    h("h2", {}, "Predictions"),
    ...missing.map((run) => {
      const error = image.prediction_errors[run];
      return h("p", { class: error === undefined ? "muted" : "error" }, `${nameOf(run)}: ${error ?? "predicting…"}`);
    }),
    ...image.predictions.map((prediction) => {
      const rows = Object.entries(prediction.probabilities)
        .sort((a, b) => b[1] - a[1])
        .slice(0, 5)
        .map(([name, value]) => {
          const bar = h("i", { class: "bar" });
          bar.style.width = `${Math.round(value * 100)}%`;
          return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, h("span", { class: "track" }, bar)), h("td", {}, value.toFixed(2)));
        });
      const facts = [
        rows.length === 0 ? prediction.labels.join(", ") : "",
        prediction.doubt === null ? "" : `doubt ${prediction.doubt.toFixed(2)}`,
        prediction.score === null ? "" : scored(prediction.score),
        prediction.mask && rows.length > 0 ? "share of the area:" : "",
      ];
      return h(
        "div",
        { class: "prediction" },
        h("h3", {}, nameOf(prediction.run)),
        h("p", {}, facts.filter(Boolean).join(" · ")),
        rows.length === 0 ? null : h("table", {}, h("caption", { class: "unseen" }, `Probabilities of ${nameOf(prediction.run)}`), h("tbody", {}, ...rows)),
      );
    }),
  );
}

/** A classifier agrees or does not; a segmenter does so to a degree. */
function scored({ name, value }: Score): string {
  if (name !== "agreement") return `${name} ${value.toFixed(3)}`;
  return value === 1 ? "as annotated" : "differs from the annotation";
}
