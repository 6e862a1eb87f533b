/** The bar: name, views, whether the page is live, theme, sign-out. */
import { useState } from "preact/hooks";
import { Icon, type IconName } from "../components/Icon";
import { usePage, useKnown } from "./context";
import { formatRoute, type Route, type View } from "./route";
import { applyTheme, keptTheme, type Theme } from "./keep";

const TABS: readonly { view: View; name: string; icon: IconName }[] = [
  { view: "overview", name: "Overview", icon: "home" },
  { view: "alerts", name: "Alerts", icon: "bell" },
  { view: "checks", name: "Checks", icon: "list" },
  { view: "metrics", name: "Metrics", icon: "graph" },
];

export function Header({ route, onSignOut }: { route: Route; onSignOut: () => void }) {
  return (
    <header class="bar">
      <div class="bar-inner">
        <a class="brand" href="#/">
          <Icon name="pulse" size={22} />
          Daywatch
        </a>
        <Tabs route={route} />
        <div class="bar-end">
          <LiveState />
          <ThemeButton />
          <button type="button" class="button plain" onClick={onSignOut} aria-label="Sign out" title="Sign out">
            <Icon name="out" />
          </button>
        </div>
      </div>
    </header>
  );
}

function Tabs({ route }: { route: Route }) {
  const alerts = useKnown((state) => state.alerts.value) ?? [];
  const firing = alerts.filter((alert) => alert.state === "firing").length;
  const count = firing > 0 ? firing : alerts.length;
  const current = route.view === "source" ? "overview" : route.view;
  return (
    <nav class="tabs" aria-label="Views">
      <ul>
        {TABS.map((tab) => (
          <li key={tab.view}>
            <a href={formatRoute(tab.view)} aria-current={tab.view === current ? "page" : undefined}>
              <Icon name={tab.icon} size={18} />
              {tab.name}
              {tab.view === "alerts" && count > 0 && (
                <span class={`count ${firing > 0 ? "" : "pending"}`}>
                  {count}
                  <span class="hidden-text">{firing > 0 ? " firing" : " pending"}</span>
                </span>
              )}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function LiveState() {
  const connection = useKnown((state) => state.connection);
  const { store } = usePage();
  const lost = connection.lostAtMs > 0;
  const kind = connection.kind === "open" ? "open" : lost ? "lost" : "connecting";
  const text = { open: "Live", lost: "Reconnecting…", connecting: "Connecting…" }[kind];
  return (
    <span class={`live ${kind}`} data-live={store.state.connection.kind} role="status">
      <span class="dot" />
      {text}
    </span>
  );
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const THEME_ICONS: Record<Theme, IconName> = { system: "system", light: "sun", dark: "moon" };

function ThemeButton() {
  const [theme, setTheme] = useState(keptTheme);
  const change = (): void => {
    applyTheme(NEXT[theme]);
    setTheme(NEXT[theme]);
  };
  const label = `Colours: ${theme === "system" ? "as the system" : theme}. Change to ${NEXT[theme]}.`;
  return (
    <button type="button" class="button plain" onClick={change} aria-label={label} title={label}>
      <Icon name={THEME_ICONS[theme]} />
    </button>
  );
}
