/** Tells the server that the image is open, and who else has it open. */

import { send } from "../api/client";
import { h } from "../dom";

const EVERY = 10_000;

export function presence(n: number): { element: HTMLElement; close: () => void } {
  const element = h("p", { class: "presence", role: "status", hidden: true });
  async function tell(): Promise<void> {
    if (document.hidden) return;
    const { others } = await send<{ others: string[] }>("POST", `api/images/${n}/open`, {});
    element.hidden = others.length === 0;
    element.textContent = others.length === 0 ? "" : `Also open elsewhere: ${others.join(", ")}`;
  }
  const quietly = (): void => void tell().catch(() => undefined);
  quietly();
  const timer = window.setInterval(quietly, EVERY);
  return { element, close: () => window.clearInterval(timer) };
}
