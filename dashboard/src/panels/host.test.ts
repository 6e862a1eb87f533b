import { describe, expect, test } from "vitest";
import type { Point, SeriesPoints } from "../api/types";
import { hostPanels } from "./host";
import { metricPanel } from "./metric";
import { limitLines, LINES_MAX, lastOf } from "./panel";

const T: readonly number[] = [10_000, 20_000];
const flat = (value: number, labels: Record<string, string> = {}): SeriesPoints => ({ labels, points: T.map((ms): Point => [ms, value]) });
const panel = (id: string) => hostPanels("web \"1\"").find((one) => one.id === id)!;
const shown = (id: string, data: Record<string, SeriesPoints[]>) =>
  panel(id).lines((key) => data[key] ?? []).map((line) => [line.name, lastOf(line)]);

describe("host panels", () => {
  test("every id is used once, and the source's name is quoted", () => {
    const ids = hostPanels("a").map((one) => one.id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(panel("load").inputs[0]!.matchers).toEqual(['source="web \\"1\\""']);
  });

  test("CPU is a share of all modes; idle is not drawn", () => {
    const cpu = [["user", 0.5], ["system", 0.25], ["idle", 1.25]].map(([mode, v]) => flat(v as number, { mode: mode as string }));
    expect(shown("cpu", { node_cpu_seconds_total: cpu })).toEqual([["user", 25], ["system", 12.5]]);
  });

  test("memory adds up to the total; hosts without swap have no such line", () => {
    const data = { node_memory_MemTotal_bytes: [flat(100)], node_memory_MemAvailable_bytes: [flat(60)], node_memory_MemFree_bytes: [flat(20)] };
    expect(shown("memory", data)).toEqual([["used", 40], ["cache", 40], ["free", 20]]);
  });

  test("disk usage pairs size and free space by mount point", () => {
    const labels = (mountpoint: string) => ({ mountpoint, device: "d", fstype: "ext4" });
    const data = {
      node_filesystem_size_bytes: [flat(100, labels("/b")), flat(200, labels("/a")), flat(0, labels("/empty"))],
      node_filesystem_avail_bytes: [flat(150, labels("/a")), flat(10, labels("/b")), flat(0, labels("/empty"))],
    };
    expect(shown("disk", data)).toEqual([["/a", 25], ["/b", 90], ["/empty", Number.NaN]]);
  });

  test("nothing gives no lines, in every panel", () => {
    for (const one of hostPanels("a")) expect(one.lines(() => [])).toEqual([]);
  });
});

test("a picked counter is drawn as a rate, in its unit", () => {
  expect(metricPanel("x_bytes_total", [], true)).toMatchObject({ title: "x_bytes_total, per second", unit: "bytes/s" });
  expect(metricPanel("x", [], true)).toMatchObject({ title: "x", unit: "plain" });
});

test("of too many lines the greatest stay, in their order", () => {
  const lines = Array.from({ length: LINES_MAX + 1 }, (_, i) => ({ name: `${i}`, points: flat(i === 3 ? -1 : i).points }));
  expect(limitLines(lines.slice(0, LINES_MAX)).hidden).toBe(0);
  const { shown: kept, hidden } = limitLines(lines);
  expect(hidden).toBe(1);
  expect(kept.map((line) => line.name)).not.toContain("3");
  expect(kept[0]!.name).toBe("0");
});
