/** Items of one query, fetched by pages when they come into view and forgotten when far away. */

import { getJson, query } from "../api/client";
import type { GridPage, Item } from "../api/types";

const PAGE = 60;
const KEPT = 50;

export type Query = Record<string, string>;

export class Pages {
  total: number | null = null;
  onChange: () => void = () => undefined;
  onError: (error: unknown) => void = () => undefined;
  private pages = new Map<number, Item[]>();
  private readonly asked = new Map<number, AbortController>();

  constructor(readonly query: Query) {}

  at(index: number): Item | undefined {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Sees to the items from `first` to `last`; requests for other pages are given up. */
  want(first: number, last: number): void {
    const from = Math.floor(first / PAGE);
    const to = Math.floor(last / PAGE);
    for (const [page, controller] of this.asked) {
      if (page >= from && page <= to) continue;
      controller.abort();
      this.asked.delete(page);
    }
    for (let page = from; page <= to; page++) {
      const items = this.pages.get(page);
      if (items === undefined) void this.fetch(page);
      else {
        this.pages.delete(page);
        this.pages.set(page, items); // last in the order: used most recently
      }
    }
    while (this.pages.size > KEPT) this.pages.delete(this.pages.keys().next().value!);
  }

  /** Fetches what is there again, keeping what is shown until it has come. */
  async renew(first: number, last: number): Promise<void> {
    const old = this.pages;
    this.pages = new Map(old);
    const kept = new Set<number>();
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++) {
      kept.add(page);
      await this.fetch(page);
    }
    for (const page of [...this.pages.keys()]) if (!kept.has(page)) this.pages.delete(page);
  }

  close(): void {
    for (const controller of this.asked.values()) controller.abort();
    this.asked.clear();
    this.onChange = () => undefined;
  }

  private async fetch(page: number): Promise<void> {
    if (this.asked.has(page)) return;
    const controller = new AbortController();
    this.asked.set(page, controller);
    try {
      const path = `api/grid${query({ ...this.query, offset: page * PAGE, limit: PAGE })}`;
      const answer = await getJson<GridPage>(path, controller.signal);
      this.pages.set(page, answer.items);
      this.total = answer.total;
      this.onChange();
    } catch (error) {
      if (!controller.signal.aborted) this.onError(error);
    } finally {
      if (this.asked.get(page) === controller) this.asked.delete(page);
    }
  }
}
