/** Server-sent events, closed while the tab is hidden: a browser has six connections per host for all tabs together. */

type Handler = (data: never) => void;
const handlers = new Map<string, Set<Handler>>();
let source: EventSource | null = null;

function listenTo(name: string): void {
  source?.addEventListener(name, (event) => {
    const data = JSON.parse((event as MessageEvent<string>).data) as never;
    for (const handler of handlers.get(name) ?? []) handler(data);
  });
}

function connect(): void {
  if (source !== null) return;
  source = new EventSource("api/events");
  for (const name of handlers.keys()) listenTo(name);
}

function disconnect(): void {
  source?.close();
  source = null;
}

/** Calls `handler` with the data of each event `name`; returns what ends that. */
export function onEvent<T>(name: string, handler: (data: T) => void): () => void {
  const known = handlers.get(name);
  const set = known ?? new Set<Handler>();
  set.add(handler as Handler);
  if (known === undefined) {
    handlers.set(name, set);
    listenTo(name);
  }
  return () => set.delete(handler as Handler);
}

/** Missed events are made up for by `shown`, called when the tab is seen again. */
export function startEvents(shown: () => void): void {
  if (!document.hidden) connect();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) disconnect();
    else {
      connect();
      shown();
    }
  });
}
