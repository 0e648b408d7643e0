import "./styles/base.css";
import "./styles/shell.css";
import "./styles/grid.css";
import "./styles/image.css";
import "./styles/screens.css";
import { ApiError, getJson, setClient } from "./api/client";
import { onEvent, startEvents } from "./api/events";
import { tabId } from "./api/tab_id";
import type { Session } from "./api/types";
import type { App, Screen } from "./app";
import { h, messageOf } from "./dom";
import { writes } from "./edit/writes";
import { openConflict } from "./screens/conflict";
import { currentRoute, type Route } from "./router";
import { changesScreen } from "./screens/changes";
import { findingsScreen } from "./screens/findings";
import { studyScreen } from "./screens/study";
import { gridScreen } from "./grid/screen";
import { imageScreen } from "./image/screen";
import { help } from "./shell/dialogs";
import { bind, startKeys } from "./shell/keys";
import { Shell } from "./shell/shell";

const SCREENS: Record<string, (app: App, route: Route) => Screen> = {
  images: gridScreen,
  image: imageScreen,
  findings: findingsScreen,
  changes: changesScreen,
  study: studyScreen,
};

async function start(): Promise<void> {
  const session = await getJson<Session>("api/session");
  session.client = await tabId(session.client);
  setClient(session.client);
  document.title = `${session.dataset.name} · s4mi`;
  const shell = new Shell(session);
  const app: App = {
    session,
    setCounts: (counts) => {
      session.changes = counts;
      shell.counts(counts);
    },
    reload: async () => {
      const { client, ...rest } = await getJson<Session>("api/session");
      Object.assign(session, rest);
      shell.session(session);
    },
  };
  let screen: Screen | null = null;
  let name = "";
  const show = (): void => {
    const route = currentRoute();
    if (screen !== null && name === route.screen && screen.update?.(route) === true) return;
    screen?.close?.();
    name = route.screen;
    screen = (SCREENS[route.screen] ?? gridScreen)(app, route);
    shell.main.replaceChildren(screen.element);
    shell.main.dataset["screen"] = route.screen;
    shell.current(route.screen);
  };
  writes.onState = (state) => shell.state(state);
  writes.onCounts = app.setCounts;
  writes.ask = openConflict;
  startKeys();
  bind("Everywhere", [{ keys: ["?"], text: "this list", run: help }]);
  const renew = (): void => void app.reload().then(() => screen?.refresh?.(), () => undefined);
  startEvents(renew);
  onEvent("merged", renew);
  window.addEventListener("hashchange", show);
  window.addEventListener("beforeunload", (event) => {
    if (writes.state.waiting > 0) event.preventDefault();
  });
  show();
}

start().catch((error: unknown) => {
  const refused = error instanceof ApiError && (error.status === 401 || error.status === 403);
  const hint = refused ? "Open the address that `s4mi view` printed: it carries the token." : "";
  const text = messageOf(error);
  document.body.replaceChildren(h("main", { class: "refused", role: "alert" }, h("h1", {}, "s4mi"), h("p", {}, text), h("p", {}, hint)));
});
