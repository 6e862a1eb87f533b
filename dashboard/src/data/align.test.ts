import { expect, test } from "vitest";
import type { Point } from "../api/types";
import { align, stack, withGaps } from "./align";

const at = (...seconds: number[]): Point[] => seconds.map((s) => [s * 1000, s]);

test("a hole of more than 2.5 usual distances is a gap, one of 2.5 is not", () => {
  expect(withGaps(at(0, 10, 20, 45), 0).length).toBe(4);
  const gapped = withGaps(at(0, 10, 20, 45.001), 0);
  expect(gapped.length).toBe(5);
  expect(gapped[3]![1]).toBeNaN();
});

test("many live points do not make holes of the history's wider steps", () => {
  const line = at(0, 10, 20, ...Array.from({ length: 50 }, (_, i) => 21 + i));
  expect(withGaps(line, 10_000).length).toBe(line.length);
  expect(withGaps(line, 1_000).length).toBe(line.length + 2);
});

test("times of another line are undefined (drawn through), holes are null (a gap)", () => {
  const [xs, a, b] = align([at(0, 10, 20), [[5_000, 1], [15_000, Number.NaN]]], 0);
  expect(xs).toEqual([0, 5, 10, 15, 20]);
  expect(a).toEqual([0, undefined, 10, undefined, 20]);
  expect(b).toEqual([undefined, 1, undefined, null, undefined]);
});

test("infinities are gaps", () => {
  expect(align([[[0, Infinity]]], 0)[1]).toEqual([null]);
});

test("stacked lines hold sums, and a gap where nothing is", () => {
  const one: Point[] = [0, 1, 2, 3, 9, 10].map((s) => [s * 1000, 1]);
  const [xs, bottom, top] = stack([one, one.map(([ms]) => [ms, 2] as const)], 0);
  expect(xs).toEqual([0, 1, 2, 3, 6, 9, 10]);
  expect(bottom).toEqual([1, 1, 1, 1, null, 1, 1]);
  expect(top).toEqual([3, 3, 3, 3, null, 3, 3]);
});

test("no lines", () => {
  expect(align([], 0)).toEqual([[]]);
  expect(stack([], 0)).toEqual([[]]);
});
