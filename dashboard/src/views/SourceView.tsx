/** One source: what is wrong with it, its graphs, checks, other series, and where its samples went. */
import { useCallback, useMemo, useState } from "preact/hooks";
import { AlertCard } from "../components/AlertCard";
import { CheckList } from "../components/CheckList";
import { GraphCard } from "../components/GraphCard";
import { Icon } from "../components/Icon";
import { Ledger } from "../components/Ledger";
import { Notice } from "../components/Notice";
import { Presence } from "../components/Presence";
import { RangePicker } from "../components/RangePicker";
import { equals } from "../api/prom";
import type { Check } from "../api/types";
import { spanOf, SPANS } from "../data/input";
import { formatMoment } from "../format/time";
import { useKnown } from "../page/context";
import { changeParams, formatRoute, type Route } from "../page/route";
import { hostPanels } from "../panels/host";
import { alertKey, alertSource, sortAlerts, sortChecks, sourceWarnings } from "../store/derive";
import { MetricGraphs } from "./MetricGraphs";
import { SourceFacts } from "./SourceFacts";
import { SourceWarning } from "./SourceList";

export function SourceView({ route }: { route: Route }) {
  const name = route.name;
  const sources = useKnown((state) => state.sources.value);
  const source = sources?.find((one) => one.name === name);
  const atMs = Number(route.params.at) > 0 ? Number(route.params.at) : null;
  const matchers = useMemo(() => [equals("source", name)], [name]);
  return (
    <>
      <div class="page-head">
        <h1>
          <a class="back" href={formatRoute("overview")} aria-label="Back to all sources">
            <Icon name="back" size={20} />
          </a>
          {name}
        </h1>
        {source && <Presence source={source} />}
        <span class="end wide">
          <RangePicker value={route.params.range ?? "15m"} onChange={(range) => location.assign(changeParams(route, { range }))} />
        </span>
      </div>
      {source?.kind === "agent" && <SourceFacts source={source} />}
      {sources !== null && !source && (
        <Notice tone="warn">
          No source of this name is known: it was removed, or its series were sent by another. <a href={formatRoute("overview")}>All sources</a>
        </Notice>
      )}
      {atMs !== null && (
        <Notice tone="info">
          Graphs end at {formatMoment(atMs)} and stand still. <a href={changeParams(route, { at: undefined })}>Back to the present</a>
        </Notice>
      )}
      {source && sourceWarnings(source).length > 0 && (
        <div class="card padded">
          {sourceWarnings(source).map((warning) => (
            <SourceWarning key={warning.kind} warning={warning} />
          ))}
        </div>
      )}
      <SourceAlerts name={name} />
      <SourceChecks name={name} title="Checks in trouble" wanted={isTroubled} />
      <HostGraphs name={name} rangeId={route.params.range ?? "15m"} atMs={atMs} isAgent={source === undefined || source.kind === "agent"} />
      <SourceChecks name={name} title="Checks that are OK" wanted={isFine} />
      <MetricGraphs route={route} title="Other series" matchers={matchers} ofOneSource span={spanOf(route.params.range ?? "15m")} atMs={atMs} />
      {source && (
        <details class="card padded">
          <summary>
            <h2 class="in-summary">Ledger</h2> <span class="soft small">where every sample of this source went</span>
          </summary>
          <Ledger counters={source.counters} />
        </details>
      )}
    </>
  );
}

function SourceAlerts({ name }: { name: string }) {
  const alerts = useKnown((state) => state.alerts.value) ?? [];
  const own = sortAlerts(alerts.filter((alert) => alertSource(alert) === name));
  if (own.length === 0) return null;
  return (
    <section class="section" aria-label="Alerts of this source">
      <ul class="alerts">
        {own.map((alert) => (
          <AlertCard key={alertKey(alert)} alert={alert} />
        ))}
      </ul>
    </section>
  );
}

function HostGraphs({ name, rangeId, atMs, isAgent }: { name: string; rangeId: string; atMs: number | null; isAgent: boolean }) {
  const panels = useMemo(() => hostPanels(name), [name]);
  const span = spanOf(rangeId);
  const label = SPANS.find((one) => one.span === span)?.label ?? rangeId;
  const [empty, setEmpty] = useState<ReadonlySet<string>>(new Set());
  const noteEmpty = useCallback((id: string, isEmpty: boolean): void => {
    setEmpty((old) => {
      if (old.has(id) === isEmpty) return old;
      const next = new Set(old);
      if (isEmpty) next.add(id);
      else next.delete(id);
      return next;
    });
  }, []);
  if (!isAgent) return null;
  const missing = panels.filter((panel) => empty.has(panel.id));
  return (
    <section class="section" aria-labelledby="graphs">
      <h2 id="graphs" class="hidden-text">
        Host graphs
      </h2>
      <div class="graphs">
        {panels.map((panel) => (
          <div key={panel.id} hidden={empty.has(panel.id)} class="graph-place">
            <GraphCard panel={panel} span={span} rangeLabel={label} atMs={atMs} onEmpty={noteEmpty} />
          </div>
        ))}
      </div>
      {missing.length > 0 && (
        <p class="row soft small">
          <Icon name="info" size={14} />
          <span class="grow">No data in the last {label} for: {missing.map((panel) => panel.title).join(", ")}.</span>
        </p>
      )}
    </section>
  );
}

const isTroubled = (check: Check): boolean => check.status !== 0;
const isFine = (check: Check): boolean => check.status === 0;

/** Troubled checks stand above the graphs, the others below: on call, the first screen counts. */
function SourceChecks({ name, title, wanted }: { name: string; title: string; wanted: (check: Check) => boolean }) {
  const checks = useKnown((state) => state.checks.value);
  const own = useMemo(() => sortChecks((checks ?? []).filter((check) => check.source === name && wanted(check))), [checks, name, wanted]);
  if (own.length === 0) return null;
  return (
    <section class="section" aria-label={title}>
      <h2>{title}</h2>
      <CheckList checks={own} withSource={false} />
    </section>
  );
}
