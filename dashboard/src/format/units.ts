/** Numbers for people: at most three or four digits, and a unit. */

export type Unit = "plain" | "percent" | "bytes" | "bytes/s" | "seconds" | "per second";

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const DECIMAL = ["", "k", "M", "G", "T"];

export function formatValue(value: number, unit: Unit): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  switch (unit) {
    case "percent":
      return `${digits(value)} %`;
    case "bytes":
      return scaled(value, 1024, BINARY);
    case "bytes/s":
      return `${scaled(value, 1024, BINARY)}/s`;
    case "seconds":
      return formatSeconds(value);
    case "per second":
      return `${scaled(value, 1000, DECIMAL)}/s`;
    case "plain":
      return scaled(value, 1000, DECIMAL);
  }
}

/** Three significant digits, no exponent, a true minus. */
function digits(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return (value < 0 ? "−" : "") + size.toExponential(1);
  const places = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const text = Number(size.toFixed(places)).toString();
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

function scaled(value: number, base: number, names: readonly string[]): string {
  let size = value;
  let power = 0;
  while (Math.abs(size) >= (base === 1024 ? 1000 : base) && power < names.length - 1) {
    size /= base;
    power += 1;
  }
  const name = names[power]!;
  return name === "" ? digits(size) : base === 1000 ? `${digits(size)}${name}` : `${digits(size)} ${name}`;
}

export function formatSeconds(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 0.000_001) return `${digits(value * 1e9)} ns`;
  if (size < 0.001) return `${digits(value * 1e6)} µs`;
  if (size < 1) return `${digits(value * 1e3)} ms`;
  if (size < 120) return `${digits(value)} s`;
  if (size < 7200) return `${digits(value / 60)} min`;
  if (size < 172_800) return `${digits(value / 3600)} h`;
  return `${digits(value / 86_400)} d`;
}

/** A whole number with thin spaces between thousands. */
export function formatCount(value: number): string {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** What a metric's name says about its unit, by Prometheus's habit of suffixes. */
export function unitOf(metric: string, asRate: boolean): Unit {
  const bare = metric.replace(/_total$/, "");
  if (/bytes$/.test(bare)) return asRate ? "bytes/s" : "bytes";
  if (asRate) return "per second";
  if (/seconds$/.test(bare)) return "seconds";
  if (/percent$/.test(bare)) return "percent";
  return "plain";
}

export function isCounter(metric: string): boolean {
  return /(_total|_count|_sum|_bucket)$/.test(metric);
}
