/** One graph with its title, values, and a word where it has nothing, is late, or failed. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Span } from "../data/input";
import { GAP_FACTOR, spacing } from "../data/points";
import { formatClock, formatMoment, formatSpan } from "../format/time";
import { formatValue } from "../format/units";
import { usePage, useNow } from "../page/context";
import { Loader, type Graph } from "../page/loader";
import { lastOf, limitLines, type Panel } from "../panels/panel";
import { Chart } from "./Chart";
import { Icon } from "./Icon";
import { Legend } from "./Legend";

/** A graph is not called late before its newest point is this old, ms. */
const LATE_MS_MIN = 45_000;
const NOTHING: Graph = { lines: [], loaded: false, error: null, newestMs: 0 };

interface Props {
  panel: Panel;
  span: Span;
  rangeLabel: string;
  atMs: number | null;
  /** Whether its title is a heading of the page. */
  heading?: boolean;
  onRemove?: () => void;
  onEmpty?: (id: string, empty: boolean) => void;
}

export function GraphCard({ panel, span, rangeLabel, atMs, heading = true, onRemove, onEmpty }: Props) {
  const { session } = usePage();
  const [host, seen] = useSeen();
  const [graph, setGraph] = useState(NOTHING);
  const [cursorMs, setCursorMs] = useState<number | null>(null);
  const now = useNow(5_000);
  const lateMs = atMs === null && graph.loaded ? lateness(graph, now) : 0;
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());

  useEffect(() => {
    if (!seen) return;
    const loader = new Loader(session, panel, span, atMs, setGraph);
    return () => loader.close();
  }, [session, panel, span, atMs, seen]);

  const { shown, hidden: left } = useMemo(() => limitLines(graph.lines), [graph.lines]);
  const drawn = useMemo(() => shown.filter((line) => !hidden.has(line.name)), [shown, hidden]);
  const empty = graph.loaded && graph.error === null && shown.length === 0;
  useEffect(() => onEmpty?.(panel.id, empty), [empty, panel.id]);

  const toggle = (name: string): void => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    setHidden(next);
  };
  const newest = shown.map((line) => `${line.name} ${formatValue(lastOf(line), panel.unit)}`).join(", ");
  const slots = drawn.map((line) => line.slot ?? shown.indexOf(line));
  return (
    <div class="card graph" role="group" ref={host} aria-label={panel.title} data-panel={panel.id}>
      <div class="graph-head">
        {heading ? <h3>{panel.title}</h3> : <strong class="small">{panel.title}</strong>}
        <span class="end">
          {cursorMs !== null && <span class="soft small">{span.rangeMs > 3_600_000 ? formatMoment(cursorMs) : formatClock(cursorMs)}</span>}
          {cursorMs === null && lateMs > 0 && <span class="stale">no data for {formatSpan(lateMs)}</span>}
          {onRemove && (
            <button type="button" class="button plain slim" onClick={onRemove} aria-label={`Remove the graph of ${panel.title}`}>
              <Icon name="close" size={14} />
            </button>
          )}
        </span>
      </div>
      {shown.length === 0 ? (
        <div class="plot">
          <p class={`plot-note ${graph.error ? "crit" : ""}`}>{graph.error ?? (graph.loaded ? `No data in the last ${rangeLabel}.` : "Loading…")}</p>
        </div>
      ) : (
        <>
          <Chart
            lines={drawn}
            style={{ unit: panel.unit, stacked: panel.stacked, atLeast: panel.atLeast, lines: drawn.length, slots }}
            rangeMs={span.rangeMs}
            stepMs={span.stepMs}
            endMs={() => atMs ?? session.client.serverNow()}
            onCursor={setCursorMs}
            label={`Graph of ${panel.title} over ${rangeLabel}. Newest values: ${newest}.`}
          />
          <Legend stepMs={span.stepMs} late={lateMs > 0} lines={shown} unit={panel.unit} cursorMs={cursorMs} hidden={hidden} onToggle={toggle} />
          {left > 0 && <p class="soft small">{left} more lines are not drawn; these {shown.length} have the greatest newest values.</p>}
          {graph.error && <p class="small source-warning">Not refreshed: {graph.error}</p>}
        </>
      )}
    </div>
  );
}

/** How old the newest point is where that is older than it should be; else 0. Ms. */
function lateness(graph: Graph, now: number): number {
  const usual = Math.max(0, ...graph.lines.slice(0, 3).map((line) => spacing(line.points)));
  const ageMs = now - graph.newestMs;
  return graph.newestMs === 0 || ageMs < Math.max(LATE_MS_MIN, usual * GAP_FACTOR) ? 0 : ageMs;
}

/** True from the moment that the element was near the visible part of the page. */
function useSeen() {
  const host = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const element = host.current;
    if (!element || seen) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) setSeen(true);
      },
      { rootMargin: "300px" },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [seen]);
  return [host, seen] as const;
}
