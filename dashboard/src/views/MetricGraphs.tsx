/** Any metric as a graph: the picked ones, and the list to pick from. The choice is in the address. */
import { useMemo, useState } from "preact/hooks";
import { GraphCard } from "../components/GraphCard";
import { Icon } from "../components/Icon";
import { MetricPicker } from "../components/MetricPicker";
import { SPANS, type Span } from "../data/input";
import { changeParams, type Route } from "../page/route";
import { metricPanel } from "../panels/metric";

/** The most metrics picked at once: with a host's eight graphs, the 20 subscriptions that one page may have. */
export const PICKED_MAX = 12;

interface Props {
  route: Route;
  title: string;
  matchers: string[];
  ofOneSource?: boolean;
  span: Span;
  atMs: number | null;
}

export function MetricGraphs({ route, title, matchers, ofOneSource = false, span, atMs }: Props) {
  const text = route.params.metrics ?? "";
  const picked = useMemo(() => pickedFrom(text), [text]);
  const panels = useMemo(() => picked.map((metric) => metricPanel(metric, matchers, ofOneSource)), [text, matchers, ofOneSource]);
  const [open, setOpen] = useState(!ofOneSource);
  const label = SPANS.find((one) => one.span === span)?.label ?? "";
  const set = (metrics: readonly string[]): void =>
    location.replace(changeParams(route, { metrics: metrics.slice(0, PICKED_MAX).map(encodeURIComponent).join(",") || undefined }));
  const toggle = (metric: string): void =>
    set(picked.includes(metric) ? picked.filter((one) => one !== metric) : [...picked, metric]);
  return (
    <section class="section" aria-labelledby="series">
      <div class="section-head">
        <h2 id="series">{title}</h2>
        <button type="button" class="button slim" aria-expanded={open} onClick={() => setOpen(!open)}>
          <Icon name="graph" size={14} />
          {open ? "Close the list" : "Pick metrics"}
        </button>
      </div>
      {open && <MetricPicker matchers={matchers} picked={picked} full={picked.length >= PICKED_MAX} span={span} onToggle={toggle} />}
      {panels.length > 0 && (
        <div class="graphs">
          {panels.map((panel) => (
            <GraphCard key={panel.id} panel={panel} span={span} rangeLabel={label} atMs={atMs} onRemove={() => toggle(panel.inputs[0]!.metric)} />
          ))}
        </div>
      )}
    </section>
  );
}

/** Names are encoded one by one, since a name may hold a comma. */
export function pickedFrom(text: string): string[] {
  const names = text.split(",").filter((part) => part !== "").map(decoded);
  return [...new Set(names)].slice(0, PICKED_MAX);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
