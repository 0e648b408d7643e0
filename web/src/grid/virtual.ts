/** A scrolling list of cells in columns, of which only those on the screen are in the document. */

import { h } from "../dom";

export interface Cell {
  element: HTMLElement;
  /** Shows the item at `index`; false while it is not there yet. */
  show(index: number): boolean;
  clear(): void;
}

export interface Range {
  first: number;
  last: number;
}

/** Rows drawn above and below what is seen. */
const MARGIN = 1;
const GAP = 8;

export class VirtualGrid {
  readonly list = h("ul", { class: "cells", role: "list" });
  readonly element = h("div", { class: "scroller", tabindex: "-1" }, this.list);
  count = 0;
  onRange: (range: Range) => void = () => undefined;
  private readonly cells = new Map<number, Cell>();
  private readonly spare: Cell[] = [];
  private readonly unfilled = new Set<number>();
  private columns = 1;
  private rowHeight = 1;
  private frame = 0;
  private readonly observer = new ResizeObserver(() => this.layout());

  constructor(
    private readonly make: () => Cell,
    private readonly label: string,
  ) {
    this.list.setAttribute("aria-label", this.label);
    this.element.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.observer.observe(this.element);
  }

  close(): void {
    this.observer.disconnect();
    window.cancelAnimationFrame(this.frame);
    for (const cell of this.cells.values()) cell.clear();
  }

  get perRow(): number {
    return this.columns;
  }

  get rowsShown(): number {
    return Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight));
  }

  setCount(count: number): void {
    this.count = count;
    this.layout();
  }

  /** Fills cells again whose item has come or changed. */
  refill(all: boolean): void {
    for (const [index, cell] of this.cells) {
      if (all || this.unfilled.has(index)) this.fill(index, cell);
    }
  }

  get top(): number {
    return Math.floor(this.element.scrollTop / this.rowHeight) * this.columns;
  }

  /** Scrolls no further than needed for the item to be seen whole. */
  reveal(index: number): void {
    const y = Math.floor(index / this.columns) * this.rowHeight;
    const { scrollTop, clientHeight } = this.element;
    if (y < scrollTop) this.element.scrollTop = y;
    else if (y + this.rowHeight > scrollTop + clientHeight) this.element.scrollTop = y + this.rowHeight - clientHeight + GAP;
    this.render();
  }

  focus(index: number): void {
    this.reveal(index);
    this.cells.get(index)?.element.querySelector<HTMLElement>("a")?.focus({ preventScroll: true });
  }

  private schedule(): void {
    if (this.frame !== 0) return;
    this.frame = window.requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  private layout(): void {
    const width = this.element.clientWidth;
    if (width === 0) return;
    const top = this.top;
    const least = width < 500 ? 104 : 152;
    const columns = Math.max(2, Math.floor((width - GAP) / (least + GAP)));
    const size = Math.floor((width - GAP) / columns) - GAP;
    const moved = columns !== this.columns;
    this.columns = columns;
    this.rowHeight = size + 46 + GAP;
    this.list.style.height = `${Math.ceil(this.count / columns) * this.rowHeight + GAP}px`;
    this.list.style.setProperty("--cell", `${size}px`);
    if (moved && top > 0) this.element.scrollTop = Math.floor(top / columns) * this.rowHeight;
    for (const [index, cell] of this.cells) this.place(index, cell);
    this.render();
  }

  private render(): void {
    const { scrollTop, clientHeight } = this.element;
    const firstRow = Math.max(0, Math.floor(scrollTop / this.rowHeight) - MARGIN);
    const lastRow = Math.floor((scrollTop + clientHeight) / this.rowHeight) + MARGIN;
    const first = firstRow * this.columns;
    const last = Math.min(this.count - 1, (lastRow + 1) * this.columns - 1);
    for (const [index, cell] of this.cells) {
      if (index >= first && index <= last) continue;
      this.retire(index, cell);
    }
    for (let index = first; index <= last; index++) if (!this.cells.has(index)) this.place(index, this.enter(index));
    while (this.spare.length > 60) this.spare.pop()!.element.remove();
    if (last >= first) this.onRange({ first, last });
  }

  private enter(index: number): Cell {
    const cell = this.spare.pop() ?? this.make();
    this.cells.set(index, cell);
    const after = this.cells.get(index - 1)?.element;
    if (after !== undefined && after.isConnected) after.after(cell.element);
    else this.list.prepend(cell.element);
    cell.element.setAttribute("aria-setsize", String(this.count));
    cell.element.setAttribute("aria-posinset", String(index + 1));
    this.fill(index, cell);
    return cell;
  }

  private retire(index: number, cell: Cell): void {
    this.cells.delete(index);
    this.unfilled.delete(index);
    cell.clear();
    cell.element.remove();
    this.spare.push(cell);
  }

  private fill(index: number, cell: Cell): void {
    if (cell.show(index)) this.unfilled.delete(index);
    else this.unfilled.add(index);
  }

  private place(index: number, cell: Cell): void {
    const row = Math.floor(index / this.columns);
    const size = this.rowHeight - 46 - GAP;
    const x = GAP + (index % this.columns) * (size + GAP);
    cell.element.style.transform = `translate(${x}px, ${GAP + row * this.rowHeight}px)`;
  }
}
