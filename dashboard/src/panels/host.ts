/** The graphs of a host, from node_exporter's metrics. */
import { equals } from "../api/prom";
import type { SeriesPoints } from "../api/types";
import type { Input } from "../data/input";
import { zip } from "../data/points";
import { compare } from "../store/derive";
import { pairs, type Line, type Panel } from "./panel";

/** CPU modes from bottom to top. `guest` time is part of `user` already. */
const CPU_MODES = ["user", "system", "iowait", "softirq", "irq", "nice", "steal"];

/** Network devices that repeat another one's traffic. */
const VIRTUAL_DEVICES = "lo|veth.*|br-.*|docker.*|cali.*|flannel.*|cni.*";
const PSEUDO_DISKS = "loop.*|ram.*|zram.*|sr.*|fd.*";
const PSEUDO_FILESYSTEMS = "tmpfs|devtmpfs|squashfs|overlay|ramfs|proc|sysfs|cgroup.*|autofs";

export function hostPanels(source: string): Panel[] {
  const of = equals("source", source);
  return [cpu(of), load(of), memory(of), disk(of), diskBusy(of), diskBytes(of), network(of), pressure(of)];
}

function counter(metric: string, by: string[], matchers: string[]): Input {
  return { key: metric, metric, matchers, kind: "counter", by };
}

function gauge(metric: string, matchers: string[]): Input {
  return { key: metric, metric, matchers, kind: "gauge", by: null };
}

function cpu(of: string): Panel {
  const input = counter("node_cpu_seconds_total", ["mode"], [of]);
  return {
    id: "cpu",
    title: "CPU",
    unit: "percent",
    stacked: true,
    atLeast: 100,
    inputs: [input],
    lines(series) {
      const modes = series(input.key);
      const total = zip(modes.map((one) => one.points), sum);
      return CPU_MODES.flatMap((mode): Line[] => {
        const one = modes.find((each) => each.labels.mode === mode);
        if (!one) return [];
        const points = zip([one.points, total], ([part, all]) => (part! / all!) * 100);
        return [{ name: mode, points }];
      });
    },
  };
}

const sum = (values: number[]): number =>
  values.reduce((all, value) => all + (Number.isNaN(value) ? 0 : value), 0);

function load(of: string): Panel {
  const inputs = ["node_load1", "node_load5", "node_load15"].map((name) => gauge(name, [of]));
  const names = ["1 min", "5 min", "15 min"];
  return {
    id: "load",
    title: "Load",
    unit: "plain",
    stacked: false,
    inputs,
    lines: (series) =>
      inputs.flatMap((input, i) => {
        const points = series(input.key)[0]?.points;
        return points ? [{ name: names[i]!, points }] : [];
      }),
  };
}

function memory(of: string): Panel {
  const name = (part: string): string => `node_memory_${part}_bytes`;
  const inputs = ["MemTotal", "MemAvailable", "MemFree", "SwapTotal", "SwapFree"].map((part) =>
    gauge(name(part), [of]),
  );
  return {
    id: "memory",
    title: "Memory",
    unit: "bytes",
    stacked: true,
    inputs,
    lines(series) {
      const points = (part: string) => series(name(part))[0]?.points ?? [];
      const [total, available, free] = [points("MemTotal"), points("MemAvailable"), points("MemFree")];
      const lines: Line[] = [
        { name: "used", slot: 0, points: zip([total, available], ([a, b]) => a! - b!) },
        { name: "cache", slot: 8, points: zip([available, free], ([a, b]) => Math.max(0, a! - b!)) },
        { name: "free", slot: 7, points: zip([free], ([a]) => a!) },
        { name: "swap used", slot: 6, points: zip([points("SwapTotal"), points("SwapFree")], ([a, b]) => a! - b!) },
      ];
      return lines.filter((line) => line.points.some((point) => !Number.isNaN(point[1])));
    },
  };
}

function disk(of: string): Panel {
  const matchers = [of, `fstype!~"${PSEUDO_FILESYSTEMS}"`];
  const size = gauge("node_filesystem_size_bytes", matchers);
  const available = gauge("node_filesystem_avail_bytes", matchers);
  return {
    id: "disk",
    title: "Disk usage",
    unit: "percent",
    stacked: false,
    atLeast: 100,
    inputs: [size, available],
    lines: (series) =>
      byName(
        pairs(
          series(size.key),
          series(available.key),
          ["mountpoint", "device", "fstype"],
          (labels) => labels.mountpoint ?? labels.device ?? "?",
          (all, left) => (all > 0 ? (1 - left / all) * 100 : Number.NaN),
        ),
      ),
  };
}

function diskBusy(of: string): Panel {
  const input = counter("node_disk_io_time_seconds_total", ["device"], [of, `device!~"${PSEUDO_DISKS}"`]);
  return {
    id: "disk-busy",
    title: "Disk I/O utilisation",
    unit: "percent",
    stacked: false,
    atLeast: 100,
    inputs: [input],
    lines: (series) => byName(percentLines(series(input.key), "device")),
  };
}

function diskBytes(of: string): Panel {
  const matchers = [of, `device!~"${PSEUDO_DISKS}"`];
  const read = counter("node_disk_read_bytes_total", ["device"], matchers);
  const written = counter("node_disk_written_bytes_total", ["device"], matchers);
  return bothWays("disk-bytes", "Disk throughput", read, "read", written, "written");
}

function network(of: string): Panel {
  const matchers = [of, `device!~"${VIRTUAL_DEVICES}"`];
  const received = counter("node_network_receive_bytes_total", ["device"], matchers);
  const sent = counter("node_network_transmit_bytes_total", ["device"], matchers);
  return bothWays("network", "Network", received, "in", sent, "out");
}

function bothWays(id: string, title: string, a: Input, aName: string, b: Input, bName: string): Panel {
  const lines = (all: SeriesPoints[], way: string): Line[] =>
    all.map((one) => ({ name: `${one.labels.device ?? "?"} ${way}`, points: one.points }));
  return {
    id,
    title,
    unit: "bytes/s",
    stacked: false,
    inputs: [a, b],
    lines: (series) => byName([...lines(series(a.key), aName), ...lines(series(b.key), bName)]),
  };
}

const PRESSURES = [
  ["node_pressure_cpu_waiting_seconds_total", "CPU, some"],
  ["node_pressure_memory_waiting_seconds_total", "memory, some"],
  ["node_pressure_memory_stalled_seconds_total", "memory, all"],
  ["node_pressure_io_waiting_seconds_total", "I/O, some"],
  ["node_pressure_io_stalled_seconds_total", "I/O, all"],
] as const;

function pressure(of: string): Panel {
  const inputs = PRESSURES.map(([metric]) => counter(metric, [], [of]));
  return {
    id: "pressure",
    title: "Pressure: time that tasks waited",
    unit: "percent",
    stacked: false,
    inputs,
    lines: (series) =>
      PRESSURES.flatMap(([metric, name]) => percentLines(series(metric), null).map((line) => ({ ...line, name }))),
  };
}

function percentLines(series: readonly SeriesPoints[], label: string | null): Line[] {
  return series.map((one) => ({
    name: label === null ? "" : (one.labels[label] ?? "?"),
    points: zip([one.points], ([value]) => value! * 100),
  }));
}

const byName = (lines: Line[]): Line[] => lines.sort((a, b) => compare(a.name, b.name));
