/** Asks which images to annotate next, and says how far the ranking is. */

import { onEvent } from "../api/events";
import { send } from "../api/client";
import type { Run } from "../api/types";
import { h, messageOf } from "../dom";
import { toast } from "../shell/dialogs";

interface Suggesting {
  stage: string;
  done: number;
  total: number;
}

interface Suggested {
  count?: number;
  strategy?: string;
  note?: string;
  error?: string;
}

export class SuggestButton {
  readonly element = h("div", { class: "predict", role: "status" });
  private readonly button = h("button", { type: "button" }, "Rank what to annotate next");
  private readonly progress = h("span", { class: "muted" });
  private run: Run | undefined;
  private readonly endings = [
    onEvent<Suggesting>("suggesting", ({ stage, done, total }) => this.say(`${stage}: ${done.toLocaleString("en")} of ${total.toLocaleString("en")}`)),
    onEvent<Suggested>("suggested", (told) => this.finished(told)),
  ];

  constructor() {
    this.button.addEventListener("click", () => void this.ask());
    this.element.append(this.button, this.progress);
  }

  /** Shown where the grid is sorted by what to annotate next and a run can tell. */
  show(run: Run | undefined, sorted: boolean): void {
    this.run = run;
    this.element.hidden = run === undefined || !sorted;
  }

  close(): void {
    for (const end of this.endings) end();
  }

  private say(text: string): void {
    this.button.disabled = true;
    this.progress.textContent = text;
  }

  private finished({ count, strategy, note, error }: Suggested): void {
    this.button.disabled = false;
    this.progress.textContent = error === undefined ? `${count ?? 0} ranked by ${strategy ?? "doubt"}. ${note ?? ""}` : "";
    if (error !== undefined) toast(error, true);
  }

  private async ask(): Promise<void> {
    if (this.run === undefined) return;
    this.say("Ranking…");
    try {
      await send("POST", "api/suggest", { run: this.run.key });
    } catch (error) {
      this.finished({ error: messageOf(error) });
    }
  }
}
