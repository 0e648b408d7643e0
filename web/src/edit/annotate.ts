/** The changes of one image's annotation, each put in the queue of writes. */

import { query, request, send } from "../api/client";
import type { Annotation, ImageDetails, Written } from "../api/types";
import { LabelMap } from "./labelmap";
import { decodeGrey, encodeGrey } from "./png";
import type { Rect } from "./rect";
import { writes } from "./writes";

function write(n: number, what: string, method: string, path: string, body: unknown, more = {}): Promise<Written> {
  return writes.add({
    n,
    what,
    send: (base) => send<Written>(method, `api/images/${n}/${path}${query({ ...more, base_revision: base })}`, body),
  });
}

export const annotate = {
  labels: (n: number, labels: string[]) => write(n, "class", "PUT", "labels", { labels }),
  empty: (n: number) => write(n, "empty mask", "PUT", "empty", {}),
  skip: (n: number, reason: string) => write(n, "skip", "PUT", "skip", { reason }),
  undo: (n: number) => write(n, "undo", "POST", "undo", {}),
  redo: (n: number) => write(n, "redo", "POST", "redo", {}),
  start: (n: number, from: "prediction" | "truth" | "nothing", run?: string) =>
    write(n, "start", "POST", "start", run === undefined ? { from } : { from, run }),
  takeBack: (n: number) => write(n, "taking back", "DELETE", "annotation", {}),
  /** The rectangle as it is now: encoding is begun at once, so later strokes do not get into it. */
  stroke: (n: number, map: LabelMap, rect: Rect): Promise<Written> => {
    const png = encodeGrey(map.crop(rect), rect.w, rect.h);
    return writes.add({
      n,
      what: "stroke",
      send: async (base) =>
        send<Written>("POST", `api/images/${n}/strokes${query({ x: rect.x, y: rect.y, base_revision: base })}`, await png),
    });
  },
};

/** The mask an annotator sees when opening the image: nothing, the truth, or what was painted. */
export async function currentMask(image: ImageDetails, annotation: Annotation): Promise<LabelMap> {
  const { n, width, height } = image;
  if (annotation.mask === "none" && !image.mask) return new LabelMap(width, height);
  const source = annotation.mask === "none" ? "truth" : "edited";
  const response = await request(`api/images/${n}/mask${query({ source, size: "full" })}`);
  const map = await decodeGrey(await response.arrayBuffer());
  if (map.width !== width || map.height !== height)
    throw new Error(`the mask is ${map.width}×${map.height} but its image is ${width}×${height}; reload the page`);
  return map;
}
