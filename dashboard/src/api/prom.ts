/** Results of Prometheus's query API as series of points, whichever of its types they have. */
import type { Labels, Point, SeriesPoints, WatchedSeries } from "./types";

interface Sampled {
  metric: Labels;
  value?: [number, string];
  values?: [number, string][];
}

export interface QueryResult {
  resultType: string;
  result: unknown;
}

/** Prometheus writes numbers as text, since JSON has no infinities and no NaN. */
export function numberFrom(text: string): number {
  if (text === "+Inf" || text === "Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  return text.trim() === "" ? Number.NaN : Number(text);
}

export function pointsFrom(data: unknown): SeriesPoints[] {
  const { resultType, result } = data as QueryResult;
  const point = ([s, text]: [number, string]): Point => [Math.round(s * 1000), numberFrom(text)];
  if (resultType === "scalar") return [{ labels: {}, points: [point(result as [number, string])] }];
  if (resultType !== "vector" && resultType !== "matrix") return [];
  return (result as Sampled[]).map((one) => ({
    labels: one.metric,
    points: (one.values ?? (one.value ? [one.value] : [])).map(point),
  }));
}

export function pointsFromFrame(series: WatchedSeries): SeriesPoints {
  return {
    labels: series.labels,
    points: series.points.map(([ms, text]): Point => [ms, numberFrom(text)]),
  };
}

/** A selector in PromQL. A name outside the classic alphabet (Graphite's dots) is written as a label. */
export function selector(name: string | null, matchers: readonly string[]): string {
  const classic = name !== null && /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
  const inside = name !== null && !classic ? [equals("__name__", name), ...matchers] : matchers;
  return `${classic ? name : ""}${inside.length > 0 ? `{${inside.join(",")}}` : ""}`;
}

export function equals(label: string, value: string): string {
  return `${label}="${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
}
