/** Images that look the same, as links. */

import type { ImageDetails } from "../api/types";
import { h } from "../dom";
import { address } from "../router";

export function neighbourStrip(image: ImageDetails, parameters: URLSearchParams): HTMLElement | null {
  if (image.duplicates.length === 0) return null;
  const kept = new URLSearchParams(parameters);
  kept.delete("at");
  return h(
    "section",
    { class: "neighbours" },
    h("h2", {}, `Near-duplicates (${image.duplicates.length})`),
    h(
      "ul",
      { role: "list" },
      ...image.duplicates.slice(0, 24).map((n) =>
        h("li", {}, h("a", { href: address("image", n, kept), "aria-label": `near-duplicate, image ${n}` }, h("img", { src: `api/images/${n}/picture?size=160`, alt: "", width: "72", height: "72", loading: "lazy" }))),
      ),
    ),
  );
}
