/** Next and previous in the order of the grid the image was opened from, also when annotating changes that order. */

import { getJson, query } from "../api/client";
import type { GridPage } from "../api/types";
import type { Query } from "../grid/pages";

const WINDOW = 100;

/** Numbers of images as they were in order when first seen; those that fell out of the filter since stay. */
export class Order {
  private numbers: number[] = [];
  private start = 0;
  total = 0;

  constructor(readonly query: Query) {}

  /** Sees to it that `n`, found near `index`, is in the list. */
  async open(n: number, index: number): Promise<void> {
    if (this.numbers.includes(n)) return;
    this.start = Math.max(0, index - WINDOW / 2);
    this.numbers = await this.fetch(this.start, WINDOW);
    if (!this.numbers.includes(n)) this.numbers.splice(Math.min(this.numbers.length, index - this.start), 0, n);
  }

  /** Its place among all, from 0. */
  indexOf(n: number): number {
    return this.start + this.numbers.indexOf(n);
  }

  async after(n: number): Promise<number | null> {
    const at = this.numbers.indexOf(n);
    if (at + 1 >= this.numbers.length) await this.extend();
    return this.numbers[at + 1] ?? null;
  }

  async before(n: number): Promise<number | null> {
    const at = this.numbers.indexOf(n);
    if (at === 0 && this.start > 0) {
      const from = Math.max(0, this.start - WINDOW);
      const more = (await this.fetch(from, this.start - from)).filter((other) => !this.numbers.includes(other));
      this.numbers.unshift(...more);
      this.start = from;
    }
    return this.numbers[this.numbers.indexOf(n) - 1] ?? null;
  }

  /** Images that left the filter moved the rest forward: looks from the window's start for those not seen yet. */
  private async extend(): Promise<void> {
    const seen = new Set(this.numbers);
    for (let offset = this.start; ; offset += WINDOW * 4) {
      const page = await this.fetch(offset, WINDOW * 4);
      const fresh = page.filter((n) => !seen.has(n));
      this.numbers.push(...fresh);
      if (fresh.length > 0 || page.length < WINDOW * 4) return;
    }
  }

  private async fetch(offset: number, limit: number): Promise<number[]> {
    const page = await getJson<GridPage>(`api/grid${query({ ...this.query, offset, limit })}`);
    this.total = page.total;
    return page.items.map((item) => item.n);
  }
}

let current: Order | null = null;

/** The same order as long as the query stays the same. */
export function orderOf(asked: Query): Order {
  if (current === null || JSON.stringify(current.query) !== JSON.stringify(asked)) current = new Order(asked);
  return current;
}
