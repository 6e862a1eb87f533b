import { describe, expect, test } from "vitest";
import type { Point } from "../api/types";
import { Feed } from "./feed";
import { historyExpr, legendOf, seedExpr, seedMs, SETTLE_MS, spanOf, type Input } from "./input";

const span = spanOf("15m");
const cpu: Input = { key: "cpu", metric: "node_cpu_seconds_total", matchers: ['source="a"'], kind: "counter", by: ["mode"] };
const load: Input = { key: "load", metric: "node_load1", matchers: ['source="a"'], kind: "gauge", by: null };
const times = (from: number, to: number): number[] => Array.from({ length: (to - from) / 10_000 + 1 }, (_, i) => from + i * 10_000);

describe("PromQL of an input", () => {
  test.each([
    [cpu, 'sum by (mode) (rate(node_cpu_seconds_total{source="a"}[60s]))'],
    [{ ...cpu, by: [] }, 'sum(rate(node_cpu_seconds_total{source="a"}[60s]))'],
    [{ ...cpu, by: null }, 'rate(node_cpu_seconds_total{source="a"}[60s])'],
    [load, 'last_over_time(node_load1{source="a"}[10s])'],
    [{ ...load, metric: "load.load.shortterm" }, 'last_over_time({__name__="load.load.shortterm",source="a"}[10s])'],
  ])("%#", (input, expected) => expect(historyExpr(input, span)).toBe(expected));

  test("long steps average", () => {
    expect(historyExpr(load, spanOf("24h"))).toBe('avg_over_time(node_load1{source="a"}[300s])');
  });

  test("the seed covers what the history leaves out, a step, and a counter's window", () => {
    expect(seedMs(cpu, span)).toBe(SETTLE_MS + 70_000);
    expect(seedExpr(load, span)).toBe('node_load1{source="a"}[25s]');
  });
});

test("a legend names what tells series apart", () => {
  const labels = { __name__: "m", source: "a", instance: "a", job: "node", device: "sda" };
  expect(legendOf(labels)).toBe("sda");
  expect(legendOf(labels, ["__name__", "job"])).toBe("source=a device=sda");
  expect(legendOf({ __name__: "m", source: "a" })).toBe("m");
});

describe("feed", () => {
  test("live gauge points follow the history, and none is drawn twice", () => {
    const feed = new Feed(load, span);
    feed.setHistory([{ labels: {}, points: [[10_000, 1], [20_000, 2]] }]);
    feed.add([{ labels: { __name__: "node_load1", source: "a", instance: "a", job: "node" }, points: [[20_000, 2], [30_000, 3]] }]);
    expect(feed.lines().map((line) => line.points)).toEqual([[[10_000, 1], [20_000, 2], [30_000, 3]]]);
  });

  test("live counters become the same rates, summed over the same labels", () => {
    const feed = new Feed(cpu, span);
    feed.setHistory([{ labels: { mode: "user" }, points: [[100_000, 2]] }]);
    for (const n of ["0", "1"]) {
      const points = times(40_000, 120_000).map((ms): Point => [ms, ms / 1000]);
      feed.add([{ labels: { __name__: "node_cpu_seconds_total", source: "a", cpu: n, mode: "user" }, points }]);
    }
    expect(feed.lines()).toEqual([{ labels: { mode: "user" }, points: [[100_000, 2], [110_000, 2], [120_000, 2]] }]);
  });

  test("add says whether anything was newer", () => {
    const feed = new Feed(load, span);
    const labels = { __name__: "node_load1" };
    expect(feed.add([{ labels, points: [[20_000, 1]] }])).toBe(true);
    expect(feed.add([{ labels, points: [[10_000, 1]] }])).toBe(false);
    expect(feed.newestMs()).toBe(20_000);
  });

  test("a series that ended leaves the tail", () => {
    const feed = new Feed(load, span);
    feed.add([{ labels: { __name__: "node_load1", x: "old" }, points: [[0, 1]] }]);
    feed.add([{ labels: { __name__: "node_load1", x: "new" }, points: [[600_000, 1]] }]);
    expect(feed.lines().map((line) => line.labels.x)).toEqual(["new"]);
  });
});

test("a websocket that is dead and does not know it shows by what HTTP tells", () => {
  const feed = new Feed(load, span);
  feed.add([{ labels: { __name__: "node_load1" }, points: [[100_000, 1]] }]);
  feed.setHistory([{ labels: {}, points: [[180_000, 1]] }]);
  expect(feed.isLiveBehind()).toBe(false);
  feed.setHistory([{ labels: {}, points: [[180_001, 1]] }]);
  expect(feed.isLiveBehind()).toBe(true);
});
