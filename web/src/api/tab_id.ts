/** The name of this tab, kept over a reload so that a tab is not told that it has the image open itself. */

const STORED = "s4mi.tab";

/**
 * The kept name if no other tab has it, else `fresh`. A duplicated tab gets a copy of the storage, and two tabs of one
 * name would not see each other's changes: a lock of the name, held for the life of the page, tells them apart.
 */
export async function tabId(fresh: string): Promise<string> {
  const kept = sessionStorage.getItem(STORED);
  const id = kept !== null && (await held(kept)) ? kept : fresh;
  if (id === fresh) void held(fresh);
  sessionStorage.setItem(STORED, id);
  return id;
}

/** Takes the lock until the page ends; false where another page has it, or the browser has no locks here. */
function held(name: string): Promise<boolean> {
  if (!("locks" in navigator)) return Promise.resolve(false);
  return new Promise((taken) => {
    void navigator.locks.request(`s4mi-${name}`, { ifAvailable: true }, (lock) => {
      taken(lock !== null);
      return lock === null ? undefined : new Promise<never>(() => undefined);
    });
  });
}
