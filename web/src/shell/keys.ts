/** Keyboard shortcuts: bound by screens, listed by the help, switched off by who dictates or types (WCAG 2.1.4). */

export interface Shortcut {
  /** As `nameOf` writes them: "n", "Ctrl+z", "Shift+T", "ArrowRight", "?". */
  keys: string[];
  text: string;
  /** Returns false where it had nothing to do: the key goes on to what was bound before. */
  run: () => unknown;
  /** Also while the key is held down. */
  repeats?: boolean;
}

interface Group {
  title: string;
  shortcuts: Shortcut[];
}

const STORED = "s4mi.single-keys";
const groups: Group[] = [];
/** Sees every key first; returns whether it took it. */
const interceptors: ((event: KeyboardEvent) => boolean)[] = [];

export function bind(title: string, shortcuts: Shortcut[]): () => void {
  const group = { title, shortcuts };
  groups.push(group);
  return () => void groups.splice(groups.indexOf(group), 1);
}

export function intercept(handler: (event: KeyboardEvent) => boolean): () => void {
  interceptors.push(handler);
  return () => void interceptors.splice(interceptors.indexOf(handler), 1);
}

export function bound(): readonly Group[] {
  return groups;
}

export function singleKeys(): boolean {
  return localStorage.getItem(STORED) !== "off";
}

export function setSingleKeys(on: boolean): void {
  localStorage.setItem(STORED, on ? "on" : "off");
}

function nameOf(event: KeyboardEvent): string {
  const digit = /^Digit(\d)$/.exec(event.code)?.[1];
  const key = event.shiftKey && digit !== undefined && event.key !== "?" && event.key !== "/" ? digit : event.key;
  const letter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  const shift = event.shiftKey && (letter || key.length > 1 || (digit !== undefined && key === digit));
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  return `${control}${event.altKey ? "Alt+" : ""}${shift ? "Shift+" : ""}${letter ? (shift ? key.toUpperCase() : key.toLowerCase()) : key}`;
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button"].includes(target.type);
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

/** Keys that a focused control uses itself. */
function taken(event: KeyboardEvent, name: string): boolean {
  const control = event.target instanceof HTMLElement && event.target.closest("button, a, summary, input, [role=tab]");
  return control !== null && control !== false && (name === "Enter" || name === " ");
}

export function startKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]") !== null) return;
    const name = nameOf(event);
    if (typing(event.target)) {
      if (name === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    if (interceptors.some((handler) => handler(event))) {
      event.preventDefault();
      return;
    }
    if (taken(event, name)) return;
    if (!singleKeys() && event.key.length === 1 && !name.startsWith("Ctrl+")) return;
    const newestFirst = [...groups].reverse().flatMap((group) => group.shortcuts);
    for (const shortcut of newestFirst) {
      if (!shortcut.keys.includes(name) || (event.repeat && shortcut.repeats !== true)) continue;
      event.preventDefault();
      if (shortcut.run() !== false) return;
    }
  });
}

const SHOWN: Record<string, string> = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  " ": "Space",
  Escape: "Esc",
};

export function shown(key: string): string {
  return key
    .split(/\+(?=.)/)
    .map((part) => SHOWN[part] ?? (part.length === 1 ? part.toUpperCase() : part))
    .join(" + ");
}
