/**
 * Lines as uPlot wants them: one list of times in seconds, and a list of values a line. `null` is a
 * hole that is drawn as a gap; `undefined` only says that another line has a point at this time.
 */
import type { Point } from "../api/types";
import { spacing, times, valueAt, GAP_FACTOR } from "./points";

export type Aligned = [xs: number[], ...ys: (number | null | undefined)[][]];

/**
 * Distances up to this are no holes, ms. History and live points of one line may stand differently
 * close, so what the history's step cannot show as a hole is none among live points either.
 */
export function gapLimit(points: readonly Point[], stepMs: number): number {
  return Math.max(spacing(points), stepMs) * GAP_FACTOR;
}

/** Puts a NaN into each hole, in its middle. */
export function withGaps(points: readonly Point[], stepMs: number): Point[] {
  const limit = gapLimit(points, stepMs);
  const out: Point[] = [];
  points.forEach((point, i) => {
    const before = points[i - 1];
    if (before && point[0] - before[0] > limit) {
      out.push([Math.round((before[0] + point[0]) / 2), Number.NaN]);
    }
    out.push(point);
  });
  return out;
}

export function align(lines: readonly (readonly Point[])[], stepMs: number): Aligned {
  const gapped = lines.map((points) => withGaps(points, stepMs));
  const xs = times(gapped);
  const ys = gapped.map((points) => {
    const byTime = new Map(points);
    return xs.map((ms) => {
      const value = byTime.get(ms);
      return value === undefined ? undefined : Number.isFinite(value) ? value : null;
    });
  });
  return [xs.map((ms) => ms / 1000), ...ys];
}

/** Lines one on top of another; each list holds the sum up to and with its line. */
export function stack(lines: readonly (readonly Point[])[], stepMs: number): Aligned {
  const gapped = lines.map((points) => withGaps(points, stepMs));
  const xs = times(gapped);
  const limits = lines.map((points) => gapLimit(points, stepMs));
  const sums = xs.map(() => 0);
  const ys = gapped.map((points, i) =>
    xs.map((ms, at) => {
      const value = valueAt(points, ms, limits[i]!);
      if (!Number.isFinite(value)) return null;
      sums[at] = sums[at]! + value;
      return sums[at]!;
    }),
  );
  return [xs.map((ms) => ms / 1000), ...ys];
}
