/** The address after `#`: which view, of what, and how it is set. Pure. */

export type View = "overview" | "alerts" | "checks" | "metrics" | "source";

export interface Route {
  view: View;
  /** The source's name, on its page. */
  name: string;
  params: Readonly<Record<string, string>>;
}

const VIEWS: readonly View[] = ["alerts", "checks", "metrics"];

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const params = Object.fromEntries(new URLSearchParams(query));
  const parts = path.split("/").filter((part) => part !== "");
  if (parts[0] === "source" && parts[1] !== undefined) {
    return { view: "source", name: decoded(parts[1]), params };
  }
  const view = VIEWS.find((one) => one === parts[0]) ?? "overview";
  return { view, name: "", params };
}

export function formatRoute(view: View, name = "", params: Record<string, string | undefined> = {}): string {
  const path = view === "overview" ? "#/" : view === "source" ? `#/source/${encodeURIComponent(name)}` : `#/${view}`;
  const given = Object.entries(params).filter((one): one is [string, string] => Boolean(one[1]));
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given).toString()}`;
}

/** The same view with some settings changed; `undefined` removes one. */
export function changeParams(route: Route, changes: Record<string, string | undefined>): string {
  return formatRoute(route.view, route.name, { ...route.params, ...changes });
}

/** A sign-in link carries the key in the fragment, which browsers do not send to servers. */
export function keyFromHash(hash: string): { key: string; rest: string } | null {
  const found = /^#\/?key=([A-Za-z0-9_%-]+)(?:&go=([^&]*))?/.exec(hash);
  if (!found) return null;
  const go = found[2] ? decoded(found[2]) : "/";
  return { key: decoded(found[1]!), rest: `#${go.startsWith("/") ? go : `/${go}`}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
