/** What the server sends and takes; one interface per object of the JSON. */

export interface Counts {
  labels: number;
  masks: number;
  empty: number;
  skipped: number;
}

export interface Score {
  name: string;
  value: number;
}

export interface Run {
  key: string;
  name: string;
  task: "segmentation" | "classification";
  technique: string;
  score: Score | null;
  predicted: boolean;
  /** How many images it has predicted. */
  known: number;
}

interface Dataset {
  name: string;
  version: number;
  count: number;
  tasks: string[];
  multilabel: boolean;
  classes: string[];
  mask_classes: string[];
  ignore: number | null;
  synthetic: boolean;
  groups: boolean;
}

export interface Session {
  version: string;
  client: string;
  read_only: boolean;
  dataset: Dataset;
  runs: Run[];
  study: { name: string } | null;
  changes: Counts;
}

export type Facet = Record<string, number>;
export interface Facets {
  part: Facet;
  label: Facet;
  annotated: Facet;
  prediction: Facet;
  changed: Facet;
  disagreement: Facet;
  near_duplicate: Facet;
  skipped: Facet;
  groups: number;
}

export interface Item {
  n: number;
  name: string;
  part: string;
  labels: string[];
  /** False where nobody has said anything; true with no labels is the answer "none of the classes". */
  labelled: boolean;
  annotated: boolean;
  mask: boolean;
  prediction: { labels: string[]; doubt: number | null } | null;
  group: string;
  rank: number | null;
  changed: boolean;
  skipped: boolean;
  duplicates: number;
  /** Null while the file has not been read. */
  width: number | null;
  height: number | null;
  /** What was answered and is not merged yet. */
  answer?: { labels: string[] | null; mask: Annotation["mask"]; empty: boolean } | null;
}

export interface GridPage {
  total: number;
  revision: number;
  offset: number;
  items: Item[];
}

export interface Annotation {
  revision: number;
  labels: string[] | null;
  /** What the unmerged mask began as; "none": the data set's own holds. */
  mask: "none" | "truth" | "prediction" | "edited";
  empty: boolean;
  skip: string | null;
  can_undo: boolean;
  can_redo: boolean;
  by: string;
}

export interface Prediction {
  run: string;
  labels: string[];
  probabilities: Record<string, number>;
  doubt: number | null;
  mask: boolean;
  score: Score | null;
  saliency: boolean;
}

export interface Window {
  bits: number;
  low: number;
  high: number;
  min: number;
  max: number;
}

export interface ImageDetails extends Omit<Item, "duplicates" | "width" | "height"> {
  width: number;
  height: number;
  window: Window | null;
  large: boolean;
  tile: number;
  levels: number;
  predictions: Prediction[];
  /** Numbers of the images that look the same; the grid's items carry only their count. */
  duplicates: number[];
  annotation: Annotation;
  findings: string[];
  /** Why runs cannot predict this data set, by run. */
  prediction_errors: Record<string, string>;
}

export interface Written {
  annotation: Annotation;
  changes: Counts;
}

export interface Change {
  n: number;
  name: string;
  what: "labels" | "mask" | "empty" | "skip";
  all: ("labels" | "mask" | "empty" | "skip")[];
  labels: string[];
  reason: string | null;
}

export interface Changes {
  counts: Counts;
  images: Change[];
}

export interface Merged {
  version: number;
  annotated: number;
  replaced: number;
  same: number;
  skipped: number;
  errors: string[];
  notes: string[];
  next: string;
}

export interface Finding {
  severity: "error" | "warning" | "note";
  text: string;
  images: number[];
}

export interface Progress {
  done: number;
  total: number;
}

interface CurvePoint {
  labels: number;
  mean: number;
  /** Null with one run. */
  low: number | null;
  high: number | null;
  runs: number;
}

export interface TaskCurves {
  dataset: string;
  task: string;
  metric: string;
  verdict: string[];
  curves: { technique: string; points: CurvePoint[] }[];
}

export interface RunningRun {
  run: string;
  technique: string;
  labels: number | null;
  seed: number;
  epoch: number | null;
  epochs: number | null;
  score: Score | null;
}

export interface Study {
  name: string;
  state: "running" | "finished" | "stopped";
  started: string | null;
  time_left_s: number | null;
  done: number;
  total: number;
  running: RunningRun[];
  tasks: TaskCurves[];
  failed: { run: string; error: string }[];
}
