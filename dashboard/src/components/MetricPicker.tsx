/** The list of metrics with a filter. */
import { useMemo, useState } from "preact/hooks";
import { selector } from "../api/prom";
import type { Span } from "../data/input";
import { useAsked, type Asked } from "../page/asked";
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
  const { value: metrics, error } = useMetrics(matchers, span);
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

function useMetrics(matchers: string[], span: Span): Asked<Metric[]> {
  const { session } = usePage();
  return useAsked(async () => {
    const now = session.client.serverNow();
    const match = selector(null, matchers.length > 0 ? matchers : ['__name__!=""']);
    const counts = new Map<string, number>();
    for (const { __name__: name = "" } of await session.client.series(match, now - span.rangeMs, now)) {
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return [...counts].map(([name, n]) => ({ name, series: n })).sort((a, b) => compare(a.name, b.name));
  }, [session, matchers, span]);
}
