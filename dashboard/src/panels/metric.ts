/** The graph of one metric that somebody picked. */
import type { Input } from "../data/input";
import { legendOf } from "../data/input";
import { isCounter, unitOf } from "../format/units";
import { compare } from "../store/derive";
import type { Panel } from "./panel";

/** A panel for `metric`, of the series that `matchers` select. */
export function metricPanel(metric: string, matchers: readonly string[], ofOneSource: boolean): Panel {
  const counter = isCounter(metric);
  const input: Input = { key: metric, metric, matchers, kind: counter ? "counter" : "gauge", by: null };
  const shared = ofOneSource ? undefined : ["__name__", "job"];
  return {
    id: `metric ${metric}`,
    title: counter ? `${metric}, per second` : metric,
    unit: unitOf(metric, counter),
    stacked: false,
    inputs: [input],
    lines: (series) =>
      series(metric)
        .map((one) => ({ name: legendOf(one.labels, shared), points: one.points }))
        .map((line) => (line.name === "" ? { ...line, name: metric } : line))
        .sort((a, b) => compare(a.name, b.name)),
  };
}
