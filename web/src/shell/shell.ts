/** The frame around every screen: navigation, what is being saved, the help. */

import { changeCount } from "../app";
import type { Counts, Session } from "../api/types";
import { h, plural, replace } from "../dom";
import type { State } from "../edit/writes";
import { address } from "../router";
import { help } from "./dialogs";

const SCREENS = [
  ["images", "Images"],
  ["findings", "Findings"],
  ["changes", "Changes"],
  ["study", "Study"],
] as const;

export class Shell {
  readonly main = h("main", { id: "main", tabindex: "-1" });
  private readonly links = new Map<string, HTMLAnchorElement>();
  private readonly badge = h("span", { class: "badge", hidden: true });
  private readonly saving = h("span", { class: "saving", role: "status" });
  private readonly banner = h("div", { class: "banner", role: "alert", hidden: true });
  private readonly title = h("span", { class: "dataset" });

  constructor(session: Session) {
    const nav = h("nav", { "aria-label": "Screens" });
    for (const [screen, text] of SCREENS) {
      const link = h("a", { href: address(screen) }, text, screen === "changes" ? this.badge : null);
      this.links.set(screen, link);
      nav.append(link);
    }
    const question = h("button", { class: "plain", "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts (?)" }, "?");
    question.addEventListener("click", help);
    const skip = h("a", { class: "skip", href: "#main" }, "Skip to content");
    skip.addEventListener("click", (event) => {
      event.preventDefault();
      this.main.focus();
    });
    const header = h("header", {}, h("strong", {}, "s4mi"), this.title, nav, this.saving, question);
    document.body.replaceChildren(skip, header, this.banner, this.main);
    this.session(session);
  }

  session(session: Session): void {
    const { dataset } = session;
    const tags = [dataset.synthetic ? "drawn images" : "", session.read_only ? "read only" : ""].filter(Boolean);
    replace(this.title, dataset.name, h("small", {}, ` version ${dataset.version}`, tags.length > 0 ? ` · ${tags.join(" · ")}` : ""));
    this.links.get("study")!.hidden = session.study === null;
    this.links.get("changes")!.hidden = session.read_only;
    this.counts(session.changes);
  }

  counts(counts: Counts): void {
    const count = changeCount(counts);
    this.badge.hidden = count === 0;
    replace(this.badge, count.toLocaleString("en"), h("span", { class: "unseen" }, " not merged"));
  }

  current(screen: string): void {
    for (const [name, link] of this.links) {
      if (name === screen || (name === "images" && screen === "image")) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  state(state: State): void {
    this.banner.hidden = state.away === null;
    const kept = plural(state.waiting, "change");
    if (state.away !== null) {
      replace(this.banner, `Not saved yet: ${state.away}. ${kept} kept in this tab and sent later; leave it open.`);
    }
    replace(this.saving, state.waiting === 0 ? "" : state.away === null ? "Saving…" : `${kept} waiting`);
  }
}
