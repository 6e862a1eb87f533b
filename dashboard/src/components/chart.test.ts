import { expect, test } from "vitest";
import { isWebLink } from "./AlertCard";
import { binarySplits, faded, lonely, valueRange } from "./chartOptions";

test.each<[number | null, number | null, number | undefined, [number, number]]>([
  [null, null, undefined, [0, 1]],
  [null, null, 100, [0, 100]],
  [2, 40, 100, [0, 100]],
  [2, 200, 100, [0, 216]],
  [0, 0, undefined, [0, 1]],
  [1, 10, undefined, [0, 10.8]],
  [100, 100, undefined, [0, 108]],
])("axis of %s to %s, at least %s", (min, max, atLeast, expected) => expect(valueRange(min, max, atLeast)).toEqual(expected));

test("a narrow band of values far from zero is not flattened", () => {
  const [low, high] = valueRange(1000, 1010, undefined);
  expect(low).toBeGreaterThan(990);
  expect(high).toBeLessThan(1020);
  expect(valueRange(-5, -5, undefined)[0]).toBeLessThan(-5);
});

test("points between holes get a dot, others do not", () => {
  expect(lonely([null, 1, null, 2, 3, null, undefined, 4])).toEqual([1, 7]);
  expect(lonely([5])).toEqual([0]);
  expect(lonely([])).toEqual([]);
});

test("byte axes step in powers of two", () => {
  const GiB = 1024 ** 3;
  expect(binarySplits(null, 0, 0, 8 * GiB).map((v) => v / GiB)).toEqual([0, 2, 4, 6, 8]);
  expect(binarySplits(null, 0, 0, 1).length).toBeLessThan(9);
});

test("colours get an opacity", () => {
  expect(faded("rgb(1, 2, 3)", 0.5)).toBe("rgba(1, 2, 3, 0.5)");
  expect(faded("red", 0.5)).toBe("red");
});

test("only web addresses become links", () => {
  expect(["https://a", "HTTP://a", "javascript:alert(1)", " https://a", "data:x"].map(isWebLink)).toEqual([true, true, false, false, false]);
});
