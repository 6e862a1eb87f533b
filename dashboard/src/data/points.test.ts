import { describe, expect, test } from "vitest";
import type { Point } from "../api/types";
import { after, indexAt, merge, spacing, sumBy, valueAt, zip } from "./points";

const every = (stepMs: number, values: number[], fromMs = 0): Point[] => values.map((v, i) => [fromMs + i * stepMs, v]);

describe("points", () => {
  test("merge keeps one value a time, the fresh one, in order", () => {
    expect(merge([[10, 1], [30, 3]], [[30, 4], [20, 2]])).toEqual([[10, 1], [20, 2], [30, 4]]);
  });

  test("after and indexAt at, before and past the ends", () => {
    const points = every(10, [1, 2, 3]);
    expect(after(points, 10)).toEqual([[20, 3]]);
    expect(after(points, 20)).toEqual([]);
    expect([-1, 0, 9, 10, 99].map((ms) => indexAt(points, ms))).toEqual([-1, 0, 0, 1, 2]);
  });

  test("spacing is the usual distance, not the mean", () => {
    expect(spacing([[0, 1]])).toBe(0);
    expect(spacing([[0, 1], [10, 1], [20, 1], [500, 1]])).toBe(10);
  });

  test("valueAt gives nothing past the tolerance", () => {
    expect(valueAt([[0, 7]], 25, 25)).toBe(7);
    expect(valueAt([[0, 7]], 26, 25)).toBeNaN();
  });

  test("a total does not dip while its parts arrive", () => {
    const a = every(10_000, [1, 1, 1, 1]);
    const b = every(10_000, [5, 5, 5]);
    expect(zip([a, b], ([x, y]) => x! + y!).at(-1)).toEqual([30_000, 6]);
  });

  test("a part that stopped is not counted for ever", () => {
    const a = every(10_000, Array.from({ length: 10 }, () => 1));
    const b = every(10_000, [5, 5, 5]);
    expect(zip([a, b], ([x, y]) => x! + y!).at(-1)![1]).toBeNaN();
  });

  test("sumBy groups by labels and passes over holes of one member", () => {
    const series = ["0", "1"].map((cpu) => ({ labels: { cpu, mode: "user" }, points: every(1000, [1, 2, cpu === "0" ? 3 : Number.NaN]) }));
    expect(sumBy(series, ["mode"])).toEqual([{ labels: { mode: "user" }, points: [[0, 2], [1000, 4], [2000, 3]] }]);
  });
});
