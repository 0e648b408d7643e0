/** What `s4mi data check` finds, as a list that opens the images in question. */

import { getJson } from "../api/client";
import type { Finding, Progress } from "../api/types";
import type { App, Screen } from "../app";
import { h, messageOf, plural, replace } from "../dom";
import { address } from "../router";

const SHOWN = 40;

export function findingsScreen(_app: App): Screen {
  const body = h("div", { role: "status" }, h("p", {}, "Loading…"));
  let closed = false;

  async function load(): Promise<void> {
    while (!closed) {
      const answer = await getJson<Finding[] | Progress>("api/findings");
      if (Array.isArray(answer)) {
        replace(body, answer.length === 0 ? h("p", {}, "No findings.") : h("ul", { class: "findings", role: "list" }, ...answer.map(row)));
        return;
      }
      replace(body, h("p", {}, "Checking images… "), progress(answer));
      await new Promise((wake) => window.setTimeout(wake, 1000));
    }
  }

  const start = (): void =>
    void load().catch((error: unknown) => replace(body, h("p", { class: "error" }, messageOf(error))));
  start();
  return {
    element: h("div", { class: "page" }, h("h1", {}, "Findings"), body),
    refresh: start,
    close: () => (closed = true),
  };
}

function progress({ done, total }: Progress): HTMLElement {
  return h("div", {}, h("progress", { max: String(Math.max(1, total)), value: String(done), "aria-label": "Images checked" }), ` ${done} of ${plural(total, "image")}`);
}

function row({ severity, text, images }: Finding): HTMLElement {
  const links = images.slice(0, SHOWN).map((n) =>
    h("a", { href: address("image", n), "aria-label": `open image ${n}` }, h("img", { src: `api/images/${n}/picture?size=160`, alt: "", width: "56", height: "56", loading: "lazy" })),
  );
  const more = images.length > SHOWN ? h("span", {}, `and ${plural(images.length - SHOWN, "more image")}`) : null;
  return h(
    "li",
    { class: severity },
    h("p", {}, h("strong", {}, severity), " ", text),
    links.length === 0 ? null : h("div", { class: "finding-images" }, ...links, more),
  );
}
