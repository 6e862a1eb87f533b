/** Lists of points: sorted by time, one value a time. A NaN stands for "nothing here" (a stale marker). */
import type { Labels, Point, SeriesPoints } from "../api/types";

/** Points further apart than this many of their usual distances have a gap between them. */
export const GAP_FACTOR = 2.5;

/** Joins two sorted lists; of two values at one time, that of `fresh` stays. */
export function merge(old: readonly Point[], fresh: readonly Point[]): Point[] {
  const byTime = new Map<number, number>();
  for (const [ms, value] of old) byTime.set(ms, value);
  for (const [ms, value] of fresh) byTime.set(ms, value);
  return [...byTime.entries()].sort((a, b) => a[0] - b[0]);
}

/** The points after `ms`. */
export function after(points: readonly Point[], ms: number): Point[] {
  const from = points.findIndex((point) => point[0] > ms);
  return from < 0 ? [] : points.slice(from);
}

/** The usual distance of two neighbours: the median, ms. 0 for fewer than two points. */
export function spacing(points: readonly Point[]): number {
  if (points.length < 2) return 0;
  const distances: number[] = [];
  for (let i = 1; i < points.length; i += 1) distances.push(points[i]![0] - points[i - 1]![0]);
  distances.sort((a, b) => a - b);
  return distances[Math.floor(distances.length / 2)]!;
}

/** How old a point may be and still count as the value of now, ms. */
export function tolerance(points: readonly Point[], floorMs = 2_000): number {
  return Math.max(floorMs, spacing(points) * GAP_FACTOR);
}

/** Index of the newest point at or before `ms`, or -1. */
export function indexAt(points: readonly Point[], ms: number): number {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (points[middle]![0] <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The value at `ms`: the newest one at or before it, if it is no older than `toleranceMs`. */
export function valueAt(points: readonly Point[], ms: number, toleranceMs: number): number {
  const point = points[indexAt(points, ms)];
  return point !== undefined && ms - point[0] <= toleranceMs ? point[1] : Number.NaN;
}

/** All times of several lists, sorted, each once. */
export function times(lists: readonly (readonly Point[])[]): number[] {
  const all = new Set<number>();
  for (const list of lists) for (const [ms] of list) all.add(ms);
  return [...all].sort((a, b) => a - b);
}

/**
 * A list computed from several: at each of their times, `compute` gets each one's value then.
 * A list that has not arrived yet for the newest time counts with its last value, so that a total
 * never dips while its parts arrive.
 */
export function zip(
  lists: readonly (readonly Point[])[],
  compute: (values: number[]) => number,
): Point[] {
  const tolerances = lists.map((list) => tolerance(list));
  return times(lists).map((ms): Point => [
    ms,
    compute(lists.map((list, i) => valueAt(list, ms, tolerances[i]!))),
  ]);
}

/** Labels as a key: those of `by` alone, or all but those of `without`. */
export function keyOf(labels: Labels, by: readonly string[] | null, without: readonly string[] = []): string {
  const names = by ?? Object.keys(labels).filter((name) => !without.includes(name));
  return JSON.stringify([...names].sort().map((name) => [name, labels[name] ?? ""]));
}

export function pick(labels: Labels, names: readonly string[]): Labels {
  const kept: Record<string, string> = {};
  for (const name of names) if (labels[name] !== undefined) kept[name] = labels[name];
  return kept;
}

/** Sums of series, grouped by labels. */
export function sumBy(series: readonly SeriesPoints[], by: readonly string[]): SeriesPoints[] {
  const groups = new Map<string, SeriesPoints[]>();
  for (const one of series) {
    const key = keyOf(one.labels, by);
    const members = groups.get(key);
    if (members) members.push(one);
    else groups.set(key, [one]);
  }
  return [...groups.values()].map((members) => ({
    labels: pick(members[0]!.labels, by),
    points:
      members.length === 1
        ? members[0]!.points
        : zip(members.map((one) => one.points), (values) =>
            values.every(Number.isNaN)
              ? Number.NaN
              : values.reduce((sum, value) => sum + (Number.isNaN(value) ? 0 : value), 0),
          ),
  }));
}
