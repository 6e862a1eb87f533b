import { expect, test } from "vitest";
import type { Check, PerfItem } from "../api/types";
import { checkPanels, CHECK_GRAPHS_MAX } from "./check";

const item = (label: string, unit: string, value: number | null = 1): PerfItem => ({ label, value, unit, warn: "", crit: "", min: null, max: null });
const check = (...perfdata: PerfItem[]): Check => ({ source: "a", check: "c", status: 0, hard: true, state_since_ms: 0, text: "", perfdata });

test("a check without numbers has no graph", () => {
  expect(checkPanels(check())).toEqual([]);
  expect(checkPanels(check(item("x", "s", null)))).toEqual([]);
});

test("one graph a unit, named by it", () => {
  const panels = checkPanels(check(item("a", "%"), item("b", "%"), item("t", "s"), item("m", "MB"), item("n", "")));
  expect(panels.map((panel) => [panel.title, panel.unit])).toEqual([["c, %", "percent"], ["c, s", "seconds"], ["c, MB", "plain"], ["c", "plain"]]);
  expect(panels[0]!.inputs[0]!.matchers).toEqual(['source="a"', 'check="c"', 'unit="%"']);
});

test("lines are named by label, in order", () => {
  const [panel] = checkPanels(check(item("used", "MB")));
  const lines = panel!.lines(() => ["b10", "b9"].map((label) => ({ labels: { label }, points: [] })));
  expect(lines.map((line) => line.name)).toEqual(["b9", "b10"]);
});

test("as many units as there may be graphs, and one more", () => {
  const items = Array.from({ length: CHECK_GRAPHS_MAX + 1 }, (_, i) => item("x", `u${i}`));
  expect(checkPanels(check(...items.slice(1))).length).toBe(CHECK_GRAPHS_MAX);
  expect(checkPanels(check(...items)).length).toBe(CHECK_GRAPHS_MAX);
});
