/** What all screens share: the session, how a screen looks to the shell, and the counts of unmerged changes. */

import type { Counts, Run, Session } from "./api/types";
import type { Route } from "./router";

export interface Screen {
  element: HTMLElement;
  /** The same screen with another address; false asks for a new screen. */
  update?(route: Route): boolean;
  /** The tab is seen again, or the data set was merged: what was fetched may be old. */
  refresh?(): void;
  close?(): void;
}

export interface App {
  session: Session;
  setCounts(counts: Counts): void;
  /** Reads the session again, e.g. after a merge. */
  reload(): Promise<void>;
}

export function changeCount(counts: Counts): number {
  return counts.labels + counts.masks + counts.empty + counts.skipped;
}

/** The run an address names, else the first that has predictions, else the first. */
export function chosenRun(session: Session, parameters: URLSearchParams): Run | undefined {
  const key = parameters.get("run");
  if (key === "none") return undefined;
  return (
    session.runs.find((run) => run.key === key) ?? session.runs.find((run) => run.predicted) ?? session.runs[0]
  );
}

export function segments(session: Session): boolean {
  return session.dataset.tasks.includes("segmentation") && session.dataset.mask_classes.length > 1;
}

export function classifies(session: Session): boolean {
  return session.dataset.tasks.includes("classification") && session.dataset.classes.length > 0;
}
