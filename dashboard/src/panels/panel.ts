/** A graph's description: what it needs and how its lines are computed. Pure. */
import type { Labels, Point, SeriesPoints } from "../api/types";
import type { Unit } from "../format/units";
import type { Input } from "../data/input";
import { keyOf, zip } from "../data/points";

/** The most lines one graph draws; of more, those with the greatest newest values stay. */
export const LINES_MAX = 16;

export interface Line {
  name: string;
  points: Point[];
  /** Its colour, where that should not depend on its place. */
  slot?: number;
}

export interface Panel {
  /** Unique on its page. */
  id: string;
  title: string;
  unit: Unit;
  stacked: boolean;
  /** The axis starts at zero and reaches at least this. */
  atLeast?: number;
  inputs: Input[];
  lines(series: (key: string) => SeriesPoints[]): Line[];
}

/** Pairs series of two inputs that have equal labels, and computes one line of each pair. */
export function pairs(
  left: readonly SeriesPoints[],
  right: readonly SeriesPoints[],
  by: readonly string[] | null,
  name: (labels: Labels) => string,
  compute: (left: number, right: number) => number,
): Line[] {
  const others = new Map(right.map((one) => [keyOf(one.labels, by, ["__name__"]), one]));
  return left.flatMap((one) => {
    const other = others.get(keyOf(one.labels, by, ["__name__"]));
    if (!other) return [];
    const points = zip([one.points, other.points], ([a, b]) => compute(a!, b!));
    return [{ name: name(one.labels), points }];
  });
}

export function lastOf(line: Line): number {
  for (let i = line.points.length - 1; i >= 0; i -= 1) {
    const value = line.points[i]![1];
    if (!Number.isNaN(value)) return value;
  }
  return Number.NaN;
}

/** Keeps the lines that matter most where there are too many; their order stays. */
export function limitLines(lines: readonly Line[], max = LINES_MAX): { shown: Line[]; hidden: number } {
  if (lines.length <= max) return { shown: [...lines], hidden: 0 };
  const rank = (line: Line): number => {
    const last = lastOf(line);
    return Number.isNaN(last) ? -Infinity : last;
  };
  const best = new Set([...lines].sort((a, b) => rank(b) - rank(a)).slice(0, max));
  return { shown: lines.filter((line) => best.has(line)), hidden: lines.length - max };
}
