/** The list of metrics with a filter. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { selector } from "../api/prom";
import type { Span } from "../data/input";
import { usePage } from "../page/context";
import { compare } from "../store/derive";

/** The most names listed; the filter reaches the others. */
export const NAMES_MAX = 200;

interface Props {
  matchers: string[];
  picked: string[];
  full: boolean;
  span: Span;
  onToggle: (metric: string) => void;
}

interface Metric {
  name: string;
  series: number;
}

export function MetricPicker({ matchers, picked, full, span, onToggle }: Props) {
  const [filter, setFilter] = useState("");
  const { metrics, error } = useMetrics(matchers, span);
  const words = filter.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const found = useMemo(
    () => (metrics ?? []).filter(({ name }) => words.every((word) => name.toLowerCase().includes(word))),
    [metrics, filter],
  );
  return (
    <div class="card padded picker">
      <label class="hidden-text" for="metric-filter">
        Filter metrics
      </label>
      <input id="metric-filter" class="field" type="search" placeholder="Filter, for example: network bytes" value={filter} onInput={(event) => setFilter(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      {error !== null && <p class="source-warning conflict">{error}</p>}
      {metrics === null && error === null && <p class="soft">Loading…</p>}
      {metrics !== null && found.length === 0 && <p class="soft">{metrics.length === 0 ? "No series in this time range." : "No name matches."}</p>}
      {found.length > 0 && (
        <ul class="picker-list" aria-label="Metrics">
          {found.slice(0, NAMES_MAX).map(({ name, series }) => (
            <li key={name}>
              <label>
                <input type="checkbox" checked={picked.includes(name)} disabled={full && !picked.includes(name)} onChange={() => onToggle(name)} />
                <span class="mono grow">{name}</span>
                <span class="soft small nowrap">{series === 1 ? "1 series" : `${series} series`}</span>
              </label>
            </li>
          ))}
        </ul>
      )}
      <p class="soft small" role="status">
        {metrics !== null && `${found.length} of ${metrics.length} metrics`}
        {found.length > NAMES_MAX && `, the first ${NAMES_MAX} shown`}
        {full && ". No more graphs fit: remove one first"}
      </p>
    </div>
  );
}

function useMetrics(matchers: string[], span: Span): { metrics: Metric[] | null; error: string | null } {
  const { session } = usePage();
  const [metrics, setMetrics] = useState<Metric[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    let ended = false;
    const now = session.client.serverNow();
    const match = selector(null, matchers.length > 0 ? matchers : ['__name__!=""']);
    session.client
      .series(match, now - span.rangeMs, now)
      .then((series) => {
        if (ended) return;
        const counts = new Map<string, number>();
        for (const { __name__: name = "" } of series) counts.set(name, (counts.get(name) ?? 0) + 1);
        setMetrics([...counts].map(([name, n]) => ({ name, series: n })).sort((a, b) => compare(a.name, b.name)));
        setError(null);
      })
      .catch((cause: unknown) => {
        if (!ended) setError(cause instanceof Error ? cause.message : String(cause));
      });
    return () => {
      ended = true;
    };
  }, [session, matchers, span]);
  return { metrics, error };
}
