import { describe, expect, test } from "vitest";
import { formatAgo, formatSpan } from "./time";
import { formatCount, formatValue, isCounter, unitOf, type Unit } from "./units";

describe("values", () => {
  test.each<[number, Unit, string]>([
    [0, "bytes", "0 B"],
    [999, "bytes", "999 B"],
    [1000, "bytes", "0.977 KiB"],
    [8 * 1024 ** 3, "bytes", "8 GiB"],
    [1536, "bytes/s", "1.5 KiB/s"],
    [-3 * 1024 ** 2, "bytes", "−3 MiB"],
    [12.345, "percent", "12.3 %"],
    [0.5, "percent", "0.5 %"],
    [100, "percent", "100 %"],
    [1234, "plain", "1.23k"],
    [999, "plain", "999"],
    [0.0001, "plain", "1.0e-4"],
    [0.25, "per second", "0.25/s"],
    [0.0042, "seconds", "4.2 ms"],
    [90, "seconds", "90 s"],
    [7200, "seconds", "2 h"],
    [Number.NaN, "bytes", "–"],
    [Infinity, "percent", "∞"],
  ])("%d as %s", (value, unit, text) => expect(formatValue(value, unit)).toBe(text));
});

test("counts have thin spaces", () => {
  expect([0, 999, 1000, 1234567].map(formatCount)).toEqual(["0", "999", "1\u202f000", "1\u202f234\u202f567"]);
});

test("units and counters by Prometheus's suffixes", () => {
  expect(unitOf("a_bytes", false)).toBe("bytes");
  expect(unitOf("a_bytes_total", true)).toBe("bytes/s");
  expect(unitOf("a_seconds", false)).toBe("seconds");
  expect(unitOf("a", true)).toBe("per second");
  expect(["a_total", "a_count", "a", "a_totals"].map(isCounter)).toEqual([true, true, false, false]);
});

test("spans have two parts at most", () => {
  const table: [number, string][] = [[-5, "0 s"], [59_999, "59 s"], [60_000, "1 min"], [3_600_000, "1 h"], [12_000_000, "3 h 20 min"], [86_400_000, "1 d"], [187_200_000, "2 d 4 h"]];
  for (const [ms, text] of table) expect(formatSpan(ms)).toBe(text);
});

test("ago: never, just now, and a clock slightly behind", () => {
  expect(formatAgo(0, 5)).toBe("never");
  expect(formatAgo(1000, 2000)).toBe("just now");
  expect(formatAgo(3000, 2000)).toBe("just now");
  expect(formatAgo(1000, 8000)).toBe("7 s ago");
});
