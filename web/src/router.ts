/** Which screen is shown is in the address after #: #/image/12?part=train&sort=next. */

export interface Route {
  screen: string;
  /** The part after the screen's name, "" where there is none. */
  argument: string;
  parameters: URLSearchParams;
}

export function currentRoute(): Route {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [screen, argument] = (path ?? "").split("/", 2);
  return { screen: screen === "" || screen === undefined ? "images" : screen, argument: argument ?? "", parameters: new URLSearchParams(search ?? "") };
}

export function address(screen: string, argument: string | number = "", parameters?: URLSearchParams): string {
  const search = parameters?.toString() ?? "";
  return `#/${screen}${argument === "" ? "" : `/${argument}`}${search === "" ? "" : `?${search}`}`;
}

export function go(to: string): void {
  location.hash = to;
}

/** Changes the address without a new entry in the history and without an event. */
export function amend(to: string): void {
  history.replaceState(null, "", to);
}
