/** All sources, those in need first: presence, four figures, checks, warnings. */
import { useState } from "preact/hooks";
import { Icon } from "../components/Icon";
import { Meter } from "../components/Meter";
import { Presence } from "../components/Presence";
import { StatusBadge } from "../components/Badge";
import type { Check, Source } from "../api/types";
import { formatValue, type Unit } from "../format/units";
import { useKnown } from "../page/context";
import { formatRoute } from "../page/route";
import { countChecks, sortSources, sourceWarnings, STATUS_NAMES, type Warning } from "../store/derive";
import type { Figure, Figures } from "./figures";

const COLUMNS: readonly { figure: Figure; name: string; short?: string; unit: Unit; meter: boolean }[] = [
  { figure: "cpu", name: "CPU", unit: "percent", meter: true },
  { figure: "load", name: "Load", unit: "plain", meter: false },
  { figure: "memory", name: "Memory", unit: "percent", meter: true },
  { figure: "disk", name: "Disk, fullest", short: "Disk", unit: "percent", meter: true },
];

/** With more sources than this a filter is offered. */
const FILTER_FROM = 8;

export function SourceList({ sources, figures }: { sources: Source[]; figures: Figures }) {
  const checks = useKnown((state) => state.checks.value) ?? [];
  const [text, setText] = useState("");
  const shown = sortSources(sources).filter((source) => source.name.toLowerCase().includes(text.trim().toLowerCase()));
  return (
    <>
      {sources.length > FILTER_FROM && (
        <input class="field" type="search" aria-label="Filter sources" placeholder="Filter sources" value={text} onInput={(event) => setText(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      )}
      {shown.length === 0 ? <p class="soft">No source matches.</p> : <Rows sources={shown} figures={figures} checks={checks} />}
    </>
  );
}

function Rows({ sources, figures, checks }: { sources: Source[]; figures: Figures; checks: Check[] }) {
  return (
    <div class="card sources">
      <div class="source head" aria-hidden="true">
        <span>Source</span>
        <span>Presence</span>
        {COLUMNS.map((column) => (
          <span key={column.figure}>{column.name}</span>
        ))}
        <span>Checks</span>
      </div>
      <ul>
        {sources.map((source) => (
          <SourceRow key={source.name} source={source} figures={figures.get(source.name) ?? {}} checks={checks.filter((check) => check.source === source.name)} />
        ))}
      </ul>
    </div>
  );
}

function SourceRow(props: { source: Source; figures: Partial<Record<Figure, number>>; checks: Check[] }) {
  const { source, figures, checks } = props;
  const warnings = sourceWarnings(source);
  return (
    <li class={`source ${Object.keys(figures).length === 0 ? "bare" : ""}`} data-source={source.name}>
      <span class="title-cell">
        <a class="title" href={formatRoute("source", source.name)}>
          {source.name}
        </a>
        {source.kind !== "agent" && <span class="soft small"> sends by HTTP</span>}
      </span>
      <Presence source={source} />
      {COLUMNS.map(({ figure, name, short = name, unit, meter }) => (
        <span class="figure-cell" key={figure}>
          <span class="label" aria-hidden="true">{short}</span>
          <span>
            <span class="hidden-text">{name} </span>
            {figures[figure] === undefined ? <span class="soft">–</span> : formatValue(figures[figure], unit)}
          </span>
          {meter && <Meter percent={figures[figure] ?? Number.NaN} />}
        </span>
      ))}
      <span class="checks-cell row">
        <CheckCounts checks={checks} />
      </span>
      {warnings.length > 0 && (
        <span class="warnings">
          {warnings.map((warning) => (
            <SourceWarning key={warning.kind} warning={warning} />
          ))}
        </span>
      )}
    </li>
  );
}

function CheckCounts({ checks }: { checks: Check[] }) {
  if (checks.length === 0) return <span class="soft small">no checks</span>;
  const counts = countChecks(checks);
  const bad = [2, 3, 1].filter((status) => counts[STATUS_NAMES[status]!] > 0);
  return (
    <>
      {(bad.length > 0 ? bad : [0]).map((status) => (
        <StatusBadge key={status} status={status} count={counts[STATUS_NAMES[status]!]} brief={bad.length > 1} />
      ))}
    </>
  );
}

const WARNING_TITLES = { conflict: "Two agents of one name", rejected: "Rejected samples", evicted: "Lost samples" } as const;

export function SourceWarning({ warning }: { warning: Warning }) {
  return (
    <span class={`source-warning ${warning.kind}`}>
      <Icon name={warning.kind === "conflict" ? "critical" : "warning"} size={14} />
      <span>
        <strong>{WARNING_TITLES[warning.kind]}:</strong> {warning.text}
      </span>
    </span>
  );
}
