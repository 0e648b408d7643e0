/** Somebody else changed the image: theirs, or mine on top. */

import type { Annotation } from "../api/types";
import { h } from "../dom";
import type { Write } from "../edit/writes";
import { ask } from "../shell/dialogs";

export async function openConflict(write: Write, by: string, theirs: Annotation): Promise<boolean> {
  const theirsAre = [
    theirs.labels === null ? "" : `class ${theirs.labels.join(", ") || "none"}`,
    theirs.empty ? "mask empty" : theirs.mask === "edited" ? "mask painted" : "",
    theirs.skip === null ? "" : "skipped",
  ].filter(Boolean);
  const answer = await ask(
    "This image was changed elsewhere",
    [
      h("p", {}, `Another tab or person (${by}) changed this image after you opened it: ${theirsAre.join(", ") || "an earlier state"}.`),
      h("p", {}, `Your ${write.what} is not saved yet.`),
    ],
    [
      { text: "Take theirs", value: "theirs", primary: true },
      { text: `Put my ${write.what} on top`, value: "mine" },
    ],
  );
  return answer === "mine";
}
