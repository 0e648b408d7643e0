/** What each run says of the image: classes with probabilities, doubt, score. */

import type { ImageDetails, Session } from "../api/types";
import { h } from "../dom";

export function predictionPanel(image: ImageDetails, session: Session): HTMLElement | null {
  if (image.predictions.length === 0) return null;
  return h(
    "section",
    { class: "predictions" },
    h("h2", {}, "Predictions"),
    ...image.predictions.map((prediction) => {
      const run = session.runs.find((other) => other.key === prediction.run);
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
        prediction.score === null ? "" : `${prediction.score.name} ${prediction.score.value.toFixed(3)}`,
      ];
      return h(
        "div",
        { class: "prediction" },
        h("h3", {}, run?.name ?? prediction.run),
        h("p", {}, facts.filter(Boolean).join(" · ")),
        rows.length === 0 ? null : h("table", {}, h("caption", { class: "unseen" }, `Probabilities of ${run?.name ?? prediction.run}`), h("tbody", {}, ...rows)),
      );
    }),
  );
}
