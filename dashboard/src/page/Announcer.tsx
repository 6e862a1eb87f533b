/** Tells what changed to those who do not look: the window's title and icon, and a screen reader. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Alert } from "../api/types";
import { alertKey, alertSource } from "../store/derive";
import { useKnown } from "./context";
import type { Route } from "./route";

const NAMES = { overview: "Overview", alerts: "Alerts", checks: "Checks", metrics: "Metrics", source: "" } as const;

export function Announcer({ route }: { route: Route }) {
  const alerts = useKnown((state) => state.alerts.value);
  const firing = (alerts ?? []).filter((alert) => alert.state === "firing");
  const known = useRef<Map<string, Alert> | null>(null);
  const [text, setText] = useState("");

  useEffect(() => {
    const place = route.view === "source" ? route.name : NAMES[route.view];
    document.title = `${firing.length > 0 ? `(${firing.length} firing) ` : ""}${place} · Daywatch`;
    const icon = document.getElementById("icon");
    const file = firing.length > 0 ? "./icon-firing.svg" : "./icon.svg";
    if (icon && icon.getAttribute("href") !== file) icon.setAttribute("href", file);
  }, [firing.length, route]);

  useEffect(() => {
    if (alerts === null) return;
    const now = new Map(firing.map((alert) => [alertKey(alert), alert]));
    const before = known.current;
    known.current = now;
    if (before === null) return;
    const say = (alert: Alert, what: string): string =>
      `${what}: ${alert.labels.alertname ?? "alert"} ${alertSource(alert) ?? ""}`;
    const news = [
      ...[...now].filter(([key]) => !before.has(key)).map(([, alert]) => say(alert, "Firing")),
      ...[...before].filter(([key]) => !now.has(key)).map(([, alert]) => say(alert, "Resolved")),
    ];
    if (news.length > 0) setText(news.join(". "));
  }, [alerts]);

  return (
    <p class="hidden-text" aria-live="assertive" data-announced>
      {text}
    </p>
  );
}
