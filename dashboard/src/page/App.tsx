/** Signed out or signed in; and within a session, the view that the address names. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Store } from "../store/store";
import { AlertsView } from "../views/AlertsView";
import { ChecksView } from "../views/ChecksView";
import { MetricsView } from "../views/MetricsView";
import { Overview } from "../views/Overview";
import { SignIn } from "../views/SignIn";
import { SourceView } from "../views/SourceView";
import { Announcer } from "./Announcer";
import { PageContext, useRoute, type Page } from "./context";
import { Header } from "./Header";
import { forgetKey, keepKey, keptKey } from "./keep";
import { Notices } from "./Notices";
import { Session } from "./session";
import type { Route } from "./route";

export function App() {
  const [key, setKey] = useState(keptKey);
  const [refused, setRefused] = useState<string | null>(null);
  useEffect(() => {
    const renewed = (): void => setKey(keptKey());
    window.addEventListener("daywatch-key", renewed);
    return () => window.removeEventListener("daywatch-key", renewed);
  }, []);
  const signOut = (text: string | null): void => {
    forgetKey();
    setRefused(text);
    setKey(null);
  };
  if (key === null) {
    const signIn = (given: string, beyondTab: boolean): void => {
      keepKey(given, beyondTab);
      setRefused(null);
      setKey(given);
    };
    return <SignIn refused={refused} onKey={signIn} />;
  }
  return <SignedIn key={key} secret={key} onSignOut={signOut} />;
}

function SignedIn({ secret, onSignOut }: { secret: string; onSignOut: (text: string | null) => void }) {
  const [page, setPage] = useState<Page | null>(null);
  const signOut = useRef(onSignOut);
  signOut.current = onSignOut;
  useEffect(() => {
    const store = new Store();
    const session = new Session(secret, store, (error) => signOut.current(error.message));
    setPage({ session, store });
    return () => session.close();
  }, [secret]);
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  const place = `${route.view} ${route.name}`;
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [place]);
  const view = useMemo(() => <Shown route={route} />, [route]);
  if (page === null) return null;
  return (
    <PageContext.Provider value={page}>
      <a class="skip" href="#content" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to the content
      </a>
      <Header route={route} onSignOut={() => onSignOut(null)} />
      <main class="content" id="content" tabIndex={-1} ref={main}>
        <Notices />
        {view}
      </main>
      <Announcer route={route} />
    </PageContext.Provider>
  );
}

function Shown({ route }: { route: Route }) {
  switch (route.view) {
    case "overview":
      return <Overview />;
    case "source":
      return <SourceView key={route.name} route={route} />;
    case "alerts":
      return <AlertsView />;
    case "checks":
      return <ChecksView route={route} />;
    case "metrics":
      return <MetricsView route={route} />;
  }
}
