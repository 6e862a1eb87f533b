import { expect, test } from "vitest";
import type { Point } from "../api/types";
import { rates } from "./rate";

const samples = (...values: number[]): Point[] => values.map((value, i) => [i * 10_000, value]);

test("a steady counter has its slope as rate, from the second sample on", () => {
  expect(rates(samples(0, 50, 100, 150), 60_000)).toEqual([[10_000, 5], [20_000, 5], [30_000, 5]]);
});

test("a restart counts from zero, and not as a fall", () => {
  expect(rates(samples(100, 150, 20), 60_000).at(-1)).toEqual([20_000, 3.5]);
});

test("samples older than the window do not count", () => {
  // The window (10 s, 30 s] holds the samples at 20 s and 30 s only.
  expect(rates(samples(0, 1000, 1010, 1030), 20_000).at(-1)).toEqual([30_000, 2]);
});

test("one sample, and stale markers, give no rate", () => {
  expect(rates(samples(7), 60_000)).toEqual([]);
  expect(rates([[0, 1], [10_000, Number.NaN], [20_000, 21]], 60_000)).toEqual([[20_000, 1]]);
});
