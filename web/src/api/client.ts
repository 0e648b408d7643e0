/** Talks to the server: JSON in and out, one error class whose message can be shown as it is. */

import type { Annotation } from "./types";

export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 where no answer came. */
    readonly status: number,
    readonly body: { by?: string; annotation?: Annotation } = {},
  ) {
    super(message);
  }

  /** The server is away, restarting or too busy: the same request may well succeed later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 401 || this.status === 403 || this.status >= 502;
  }
}

let client = "";

export function setClient(name: string): void {
  client = name;
}

export function clientName(): string {
  return client;
}

export async function request(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  const headers = new Headers(options.headers);
  if (options.method !== undefined && options.method !== "GET") headers.set("X-S4MI", "1");
  if (client !== "") headers.set("X-Client", client);
  try {
    response = await fetch(path, { ...options, headers, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("the server does not answer; start `s4mi view` again if it has ended", 0);
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { error?: string; by?: string; annotation?: Annotation };
  throw new ApiError(body.error ?? `the server answered ${response.status} to ${path}`, response.status, body);
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, signal === undefined ? {} : { signal });
  return (await response.json()) as T;
}

export async function send<T>(method: string, path: string, body: unknown): Promise<T> {
  const raw = body instanceof Blob;
  const response = await request(path, {
    method,
    body: raw ? body : JSON.stringify(body),
    headers: { "Content-Type": raw ? body.type : "application/json" },
  });
  return (await response.json()) as T;
}

export function query(parameters: Record<string, string | number | undefined | null>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null) search.set(name, String(value));
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}
