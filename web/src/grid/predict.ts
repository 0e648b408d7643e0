/** Asks for the predictions that a run does not have yet, and says how far they are. */

import { onEvent } from "../api/events";
import { send } from "../api/client";
import type { Run } from "../api/types";
import { h } from "../dom";
import { toastError } from "../shell/dialogs";

interface Predicting {
  run: string;
  done: number;
  total: number;
}

export class PredictButton {
  readonly element = h("div", { class: "predict", role: "status" });
  private readonly button = h("button", { type: "button" }, "Predict all images");
  private readonly progress = h("span", { class: "muted" });
  private run: Run | undefined;
  private readonly end = onEvent<Predicting>("predicting", (told) => this.told(told));

  constructor(private readonly count: number) {
    this.button.addEventListener("click", () => void this.ask());
    this.element.append(this.button, this.progress);
  }

  show(run: Run | undefined): void {
    this.run = run;
    this.progress.textContent = "";
    this.button.hidden = run === undefined || run.known >= this.count;
  }

  close(): void {
    this.end();
  }

  private told({ run, done, total }: Predicting): void {
    if (run !== this.run?.key) return;
    this.button.hidden = true;
    this.progress.textContent = done < total ? `Predicting: ${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
  }

  private async ask(): Promise<void> {
    if (this.run === undefined) return;
    this.button.hidden = true;
    try {
      await send("POST", "api/predict", { run: this.run.key, scope: "all" });
      this.progress.textContent = "Predicting…";
    } catch (error) {
      toastError(error);
    }
  }
}
