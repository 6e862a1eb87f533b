/** The first look: what is wrong, then how every source does. */
import { useMemo } from "preact/hooks";
import { AlertCard } from "../components/AlertCard";
import { Icon, type IconName } from "../components/Icon";
import { Notice } from "../components/Notice";
import { useKnown } from "../page/context";
import { formatRoute } from "../page/route";
import { alertKey, countChecks, isLost, sortAlerts, STATUS_NAMES } from "../store/derive";
import { useFigures } from "./figures";
import { FirstRun } from "./FirstRun";
import { SourceList } from "./SourceList";

/** The most alerts shown before a link to all of them. */
const ALERTS_SHOWN_MAX = 8;

export function Overview() {
  const sources = useKnown((state) => state.sources.value);
  const waiting = useKnown((state) => state.sources.value === null && state.sources.error === null);
  const { figures, error } = useFigures(sources?.some((source) => source.kind === "agent") ?? false);
  return (
    <>
      <h1 class="hidden-text">Overview</h1>
      <Alerts />
      {sources !== null && sources.length > 0 && <Tiles />}
      {waiting && <p class="soft">Loading…</p>}
      {sources?.length === 0 && <FirstRun />}
      {sources !== null && sources.length > 0 && (
        <section class="section" aria-labelledby="sources">
          <div class="section-head">
            <h2 id="sources">Sources</h2>
          </div>
          {error !== null && <Notice tone="warn">The hosts' figures could not be refreshed: {error}</Notice>}
          <SourceList sources={sources} figures={figures} />
        </section>
      )}
    </>
  );
}

function Alerts() {
  const alerts = useKnown((state) => state.alerts.value);
  const sorted = useMemo(() => sortAlerts(alerts ?? []), [alerts]);
  if (alerts === null) return null;
  if (sorted.length === 0) {
    return (
      <div class="card calm">
        <Icon name="ok" size={18} />
        <span>No alert is firing or pending.</span>
      </div>
    );
  }
  return (
    <section class="section" aria-label="Alerts">
      <ul class="alerts">
        {sorted.slice(0, ALERTS_SHOWN_MAX).map((alert) => (
          <AlertCard key={alertKey(alert)} alert={alert} />
        ))}
      </ul>
      {sorted.length > ALERTS_SHOWN_MAX && <a href={formatRoute("alerts")}>All {sorted.length} alerts</a>}
    </section>
  );
}

const TILE_ICONS: readonly IconName[] = ["ok", "warning", "critical", "unknown"];
const TILE_ORDER = [2, 1, 3, 0];

function Tiles() {
  const sources = useKnown((state) => state.sources.value) ?? [];
  const checks = useKnown((state) => state.checks.value) ?? [];
  const counts = countChecks(checks);
  const agents = sources.filter((source) => source.kind === "agent");
  const present = agents.filter((source) => !isLost(source)).length;
  return (
    <section class="tiles" aria-label="Summary">
      <div class={`card tile ${present < agents.length ? "critical" : ""}`}>
        <span class="number">
          {present}
          <span class="of"> / {agents.length}</span>
        </span>
        <span class="label">agents present</span>
      </div>
      {TILE_ORDER.map((status) => {
        const name = STATUS_NAMES[status]!;
        const count = counts[name];
        return (
          <a class={`card tile ${count === 0 ? "none" : name.toLowerCase()}`} href={formatRoute("checks", "", { state: name })} key={name}>
            <span class="number">
              <Icon name={TILE_ICONS[status]!} size={18} />
              {count}
            </span>
            <span class="label">{name}</span>
          </a>
        );
      })}
    </section>
  );
}
