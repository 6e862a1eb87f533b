/** What every view may use: the session, the store, the address. */
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { State } from "../store/state";
import { useStore, type Store } from "../store/store";
import type { Session } from "./session";
import { parseRoute, type Route } from "./route";

export interface Page {
  session: Session;
  store: Store;
}

export const PageContext = createContext<Page | null>(null);

export function usePage(): Page {
  const page = useContext(PageContext);
  if (!page) throw new Error("a view was drawn outside a session");
  return page;
}

export function useKnown<T>(part: (state: State) => T): T {
  return useStore(usePage().store, part);
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const update = (): void => setRoute(parseRoute(location.hash));
    window.addEventListener("hashchange", update);
    return () => window.removeEventListener("hashchange", update);
  }, []);
  return route;
}

/** The server's time, anew every `everyMs`. */
export function useNow(everyMs = 1_000): number {
  const { session } = usePage();
  const [now, setNow] = useState(() => session.client.serverNow());
  useEffect(() => {
    const timer = setInterval(() => setNow(session.client.serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [session, everyMs]);
  return now;
}
