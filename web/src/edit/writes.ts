/**
 * Every change goes through one queue: sent in order, each on the revision the one before made, and kept while the
 * server is away. The page never waits for it.
 */

import { ApiError, clientName, getJson } from "../api/client";
import type { Annotation, Changes, Counts, ImageDetails, Written } from "../api/types";

export interface Write {
  n: number;
  /** What is being saved, as the status line says it: "stroke", "class" … */
  what: string;
  send: (base: number) => Promise<Written>;
}

interface Queued extends Write {
  done: (written: Written) => void;
  failed: (error: unknown) => void;
}

export type State = { waiting: number; away: string | null };

/** Asked when somebody else changed the image; true puts the write on top of theirs. */
type AskConflict = (write: Write, by: string, theirs: Annotation) => Promise<boolean>;

export class Writes {
  state: State = { waiting: 0, away: null };
  onState: (state: State) => void = () => undefined;
  onCounts: (counts: Counts) => void = () => undefined;
  ask: AskConflict = async () => false;
  /** The image is another than this tab thought: called when a conflict is settled either way. */
  onConflict: (n: number) => void = () => undefined;
  private readonly queue: Queued[] = [];
  private readonly revisions = new Map<number, number>();
  private working = false;

  /** Tells the revision an image was loaded at; ignored while own changes of it are under way. */
  loaded(n: number, revision: number): void {
    if (!this.pending(n)) this.revisions.set(n, revision);
  }

  revision(n: number): number {
    return this.revisions.get(n) ?? 0;
  }

  pending(n: number): boolean {
    return this.queue.some((write) => write.n === n);
  }

  /** Resolves when the server has it; rejects when it was refused or given up in a conflict. */
  add(write: Write): Promise<Written> {
    return new Promise((done, failed) => {
      this.queue.push({ ...write, done, failed });
      this.tell(this.state.away);
      if (!this.working) void this.work();
    });
  }

  private async work(): Promise<void> {
    this.working = true;
    while (this.queue.length > 0) {
      const write = this.queue[0]!;
      try {
        const written = await this.deliver(write);
        this.queue.shift();
        write.done(written);
        this.onCounts(written.changes);
      } catch (error) {
        this.drop(write);
        write.failed(error);
      }
      this.tell(null);
    }
    this.working = false;
  }

  private async deliver(write: Write): Promise<Written> {
    for (let attempt = 0; ; ) {
      try {
        const written = (attempt > 0 ? await this.arrived(write.n) : null) ?? (await write.send(this.revision(write.n)));
        this.revisions.set(write.n, written.annotation.revision);
        return written;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 409 && error.body.annotation !== undefined) await this.settle(write, error);
        else if (error.passing) {
          this.tell(error.message);
          await new Promise((wake) => window.setTimeout(wake, Math.min(4000, 250 * 2 ** attempt++)));
        } else throw error;
      }
    }
  }

  /** A write whose answer was lost may be in the journal: sent again, an undo would undo twice. */
  private async arrived(n: number): Promise<Written | null> {
    const { annotation } = await getJson<ImageDetails>(`api/images/${n}`);
    if (annotation.by !== clientName() || annotation.revision <= this.revision(n)) return null;
    const { counts } = await getJson<Changes>("api/changes");
    return { annotation, changes: counts };
  }

  /** An own change whose answer was lost is no conflict; one of somebody else is put to the user. */
  private async settle(write: Write, error: ApiError): Promise<void> {
    const theirs = error.body.annotation!;
    const by = error.body.by ?? theirs.by;
    const own = by === clientName();
    const mine = own || (await this.ask(write, by, theirs));
    this.revisions.set(write.n, theirs.revision);
    if (!own) this.onConflict(write.n);
    if (!mine) throw error;
  }

  /** What was painted on a refused change has no ground to stand on: the later writes of its image go with it. */
  private drop(write: Queued): void {
    const later = this.queue.filter((other) => other !== write && other.n === write.n);
    const rest = this.queue.filter((other) => other.n !== write.n);
    this.queue.splice(0, this.queue.length, ...rest);
    for (const other of later) other.failed(new ApiError("given up with the change before it", 409));
  }

  private tell(away: string | null): void {
    this.state = { waiting: this.queue.length, away };
    this.onState(this.state);
  }
}

export const writes = new Writes();
