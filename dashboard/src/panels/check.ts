/** The graphs of one check's performance data: one for each unit, since units share no axis. */
import { equals } from "../api/prom";
import type { Check } from "../api/types";
import type { Input } from "../data/input";
import type { Unit } from "../format/units";
import { compare } from "../store/derive";
import type { Panel } from "./panel";

/** The most graphs of one check. */
export const CHECK_GRAPHS_MAX = 4;

const AXES = new Map<string, Unit>([
  ["%", "percent"],
  ["s", "seconds"],
  ["B", "bytes"],
]);

export function checkPanels(check: Check): Panel[] {
  const items = (check.perfdata ?? []).filter((item) => item.value !== null);
  const units = [...new Set(items.map((item) => item.unit))];
  return units.slice(0, CHECK_GRAPHS_MAX).map((unit) => unitPanel(check, unit));
}

function unitPanel({ source, check }: Check, unit: string): Panel {
  const input: Input = {
    key: "check_value",
    metric: "check_value",
    // Without a unit there is no such label, which an empty value matches.
    matchers: [equals("source", source), equals("check", check), equals("unit", unit)],
    kind: "gauge",
    by: null,
  };
  const axis = AXES.get(unit);
  return {
    id: `check ${source} ${check} ${unit}`,
    title: unit === "" ? check : `${check}, ${unit}`,
    unit: axis ?? "plain",
    stacked: false,
    inputs: [input],
    lines: (series) =>
      series(input.key)
        .map(({ labels, points }) => ({ name: labels.label ?? "value", points }))
        .sort((a, b) => compare(a.name, b.name)),
  };
}
