/** One image opened: stages, layers, tools, and the annotation that they change. */

import { getJson, query } from "../api/client";
import type { Annotation, ImageDetails, Written } from "../api/types";
import { chosenRun, classifies, segments, type App } from "../app";
import { h, messageOf } from "../dom";
import { annotate, currentMask } from "../edit/annotate";
import { AnswerPanel } from "../edit/answer_panel";
import { Editor } from "../edit/editor";
import { KeyboardPen } from "../edit/keyboard_pen";
import { LabelMap } from "../edit/labelmap";
import { LabelPanel } from "../edit/label_panel";
import { MaskPanel } from "../edit/mask_panel";
import { writes } from "../edit/writes";
import { say, toast, toastError } from "../shell/dialogs";
import { bind, intercept } from "../shell/keys";
import { LayerPanel } from "./layer_panel";
import { Layers } from "./layers";
import { levelControl } from "./levels";
import { neighbourStrip } from "./neighbours";
import { predictionPanel } from "./prediction_panel";
import { preferences } from "./preferences";
import { Stage } from "./stage";
import type { View } from "./view";

export class Workbench {
  readonly stages: Stage[] = [];
  readonly stageArea = h("div", { class: "stages" });
  readonly tools = h("div", { class: "toolbar" });
  readonly side = h("div", { class: "side" });
  /** Somebody else's change is under an own one: what is shown is read again when the own one is saved. */
  stale = false;
  /** A class was chosen: the screen may go on to the next image. */
  onAnswer: () => void = () => undefined;
  private annotation: Annotation;
  private editor: Editor | null = null;
  private labels: LabelPanel | null = null;
  private answers: AnswerPanel | null = null;
  private readonly layers: Layers[] = [];
  private readonly endings: (() => void)[] = [];
  private closed = false;
  private round = 0;
  /** Changes of the whole mask under way: painting rests until the last one's result is here. */
  private whole = 0;

  constructor(
    private readonly app: App,
    private image: ImageDetails,
    parameters: URLSearchParams,
    /** Of the same image before, so that its zoom stays. */
    private readonly view?: View,
  ) {
    this.annotation = image.annotation;
    writes.loaded(image.n, image.annotation.revision);
    const run = chosenRun(app.session, parameters)?.key;
    const beside = app.session.runs.find((other) => other.key === parameters.get("beside"))?.key;
    this.addStage(run, true);
    if (beside !== undefined) this.addStage(beside, false);
    this.buildTools(run);
    this.buildSide(parameters);
  }

  close(): void {
    this.closed = true;
    for (const end of this.endings) end();
    for (const stage of this.stages) stage.destroy();
  }

  get lacksPrediction(): boolean {
    return this.layers.some(({ run }) => run !== undefined && !this.image.predictions.some((known) => known.run === run));
  }

  get busy(): boolean {
    return this.editor?.drawing === true;
  }

  /** Reads annotation and mask again, e.g. after somebody else's change. */
  async reload(): Promise<void> {
    const runs = this.layers.map((layers) => layers.run).filter((run) => run !== undefined);
    const image = await getJson<ImageDetails>(detailsAddress(this.image.n, runs));
    if (this.closed || writes.pending(this.image.n)) return;
    this.image = image;
    writes.loaded(image.n, image.annotation.revision);
    this.shows(image.annotation);
    await this.loadMask();
  }

  private get editable(): boolean {
    return segments(this.app.session) && !this.app.session.read_only;
  }

  private addStage(run: string | undefined, first: boolean): void {
    const name = this.app.session.runs.find((other) => other.key === run)?.name;
    const label = `Image ${this.image.name}${name === undefined ? "" : `, ${name}`}`;
    const stage = new Stage(this.image, label, this.stages[0]?.view ?? this.view, first);
    const layers = new Layers(stage, this.image, this.app.session, run, this.editable && first);
    this.stages.push(stage);
    this.layers.push(layers);
    const caption = name === undefined ? null : h("figcaption", {}, name);
    this.stageArea.append(h("figure", {}, stage.element, caption));
    stage.picture.ready.catch((error: unknown) => toast(`picture of ${this.image.name}: ${messageOf(error)}`, true));
    if (!first) return;
    const annotation = layers.byName.get("annotation");
    if (annotation === undefined) return;
    const map = new LabelMap(this.image.width, this.image.height);
    this.editor = new Editor(map, stage, annotation);
    this.editor.locked = true;
    this.editor.onStroke = (rect) => this.write(annotate.stroke(this.image.n, map, rect));
    stage.target = this.editor;
    void this.loadMask();
  }

  private async loadMask(): Promise<void> {
    if (this.editor === null) return;
    const round = ++this.round;
    this.lock(true);
    try {
      const map = await currentMask(this.image, this.annotation);
      if (this.closed || round !== this.round) return;
      this.editor.load(map);
      this.lock(this.whole > 0);
      this.answers?.show(this.annotation, this.editor.background);
    } catch (error) {
      toastError(error);
    }
  }

  private buildTools(run: string | undefined): void {
    const { session } = this.app;
    const stage = this.stages[0]!;
    const shortcuts = [
      { keys: ["0"], text: "whole image", run: () => stage.view.fit() },
      { keys: ["z"], text: "one image pixel on one screen pixel", run: () => stage.view.exactly(1) },
      { keys: ["+", "="], text: "nearer", repeats: true, run: () => stage.view.zoomAt(1.25) },
      { keys: ["-"], text: "farther", repeats: true, run: () => stage.view.zoomAt(0.8) },
    ];
    if (this.editor !== null) {
      const panel = new MaskPanel(session, this.editor, classifies(session));
      const pen = new KeyboardPen(stage, this.editor, say);
      this.tools.append(panel.element);
      this.endings.push(intercept((event) => pen.key(event)));
      this.endings.push(
        bind("Mask", [
          ...panel.shortcuts,
          { keys: ["k"], text: "pen moved by arrow keys; space paints", run: () => pen.toggle() },
          { keys: ["Enter"], text: "close the polygon", run: () => this.editor?.closePolygon() === true },
          { keys: ["Backspace"], text: "remove the polygon's last corner", run: () => this.editor?.removeCorner() === true },
          { keys: ["Escape"], text: "give up the stroke in hand", run: () => this.editor?.cancel() === true },
        ]),
      );
    }
    if (!session.read_only) this.buildAnswers(run);
    this.endings.push(bind("View", shortcuts));
  }

  private buildAnswers(run: string | undefined): void {
    const { n } = this.image;
    const suggested = this.image.predictions.find((prediction) => prediction.run === run)?.mask === true;
    const whole = (written: Promise<Written>): void => this.write(written, true);
    this.answers = new AnswerPanel({
      ...(this.editor === null ? {} : { empty: () => whole(annotate.empty(n)) }),
      ...(this.editor !== null && suggested && run !== undefined
        ? { startFromPrediction: () => whole(annotate.start(n, "prediction", run)) }
        : {}),
      skip: (reason) => {
        whole(annotate.skip(n, reason));
        this.onAnswer();
      },
      undo: () => {
        if (this.editor?.removeCorner() !== true) whole(annotate.undo(n));
      },
      redo: () => whole(annotate.redo(n)),
      takeBack: () => whole(annotate.takeBack(n)),
    });
    this.tools.append(this.answers.element);
    this.endings.push(bind("Answer", this.answers.shortcuts));
    this.answers.show(this.annotation, false);
  }

  private buildSide(parameters: URLSearchParams): void {
    const { session } = this.app;
    if (classifies(session)) {
      this.labels = new LabelPanel(session, this.editor !== null, (labels) => {
        this.write(annotate.labels(this.image.n, labels));
        if (!session.dataset.multilabel) this.onAnswer();
      });
      this.labels.show(this.annotation.labels ?? this.image.labels);
      this.side.append(this.labels.element);
      this.endings.push(bind("Class", this.labels.shortcuts));
    }
    const layerPanel = new LayerPanel(this.layers, session.dataset.mask_classes.length > 2);
    this.endings.push(bind("Layers", layerPanel.shortcuts));
    const levels = levelControl(this.image, this.stages.map((stage) => stage.picture));
    for (const stage of this.stages) stage.onLevelDrag = levels?.drag ?? null;
    const findings =
      this.image.findings.length === 0
        ? null
        : h("section", {}, h("h2", {}, "Findings"), h("ul", {}, ...this.image.findings.map((text) => h("li", {}, text))));
    const asked = this.layers.map((layers) => layers.run).filter((run) => run !== undefined);
    const parts = [layerPanel.element, levels?.element, predictionPanel(this.image, session, asked), findings, neighbourStrip(this.image, parameters)];
    for (const part of parts) if (part != null) this.side.append(part);
  }

  /** Follows a change through the queue; `mask` says that the mask is another afterwards. */
  private write(written: Promise<Written>, mask = false): void {
    if (mask) {
      this.whole++;
      this.editor?.cancel();
      this.lock(true);
    }
    written
      .finally(() => {
        if (mask) this.whole--;
      })
      .then(
        ({ annotation }) => {
          this.shows(annotation);
          if (this.stale) this.reloadOnce();
          else if (mask && this.whole === 0) void this.loadMask();
        },
        (error: unknown) => {
          toast(`not saved: ${messageOf(error)}`, true);
          this.reloadOnce();
        },
      );
  }

  /** While the mask is being read, what is painted would be lost. */
  private lock(locked: boolean): void {
    if (this.editor === null) return;
    this.editor.locked = locked;
    this.stages[0]!.element.dataset["mask"] = locked ? "loading" : "ready";
  }

  private reloadOnce(): void {
    if (this.closed || writes.pending(this.image.n)) return;
    this.stale = false;
    this.reload().catch(toastError);
  }

  private shows(annotation: Annotation): void {
    this.annotation = annotation;
    if (this.closed) return;
    this.answers?.show(annotation, this.editor?.background === true);
    if (!writes.pending(this.image.n)) this.labels?.show(annotation.labels ?? this.image.labels);
    this.stages[0]!.element.dataset["revision"] = String(annotation.revision);
  }
}

export function detailsAddress(n: number, runs: string[]): string {
  const search = runs.map((run) => `run=${encodeURIComponent(run)}`).join("&");
  return `api/images/${n}${search === "" ? query({}) : `?${search}`}`;
}

export function advances(): boolean {
  return preferences.advance;
}
