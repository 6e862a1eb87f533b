/**
 * What a graph needs: one metric of some series. The same description gives the PromQL text for its
 * history and the computation for live points, so that both draw one line.
 */
import type { Labels } from "../api/types";
import { selector } from "../api/prom";

export interface Input {
  key: string;
  metric: string;
  matchers: readonly string[];
  kind: "counter" | "gauge";
  /** Counters are summed by these labels; `null` keeps every series apart. */
  by: readonly string[] | null;
}

/** Time spans of a graph. All in ms. */
export interface Span {
  rangeMs: number;
  stepMs: number;
  /** What a rate looks back over. */
  windowMs: number;
}

const MINUTE = 60_000;

/** The choices of the time picker. About 90 to 290 points a line. */
export const SPANS: readonly { id: string; name: string; label: string; span: Span }[] = [
  { id: "15m", name: "15 min", label: "15 minutes", span: { rangeMs: 15 * MINUTE, stepMs: 10_000, windowMs: MINUTE } },
  { id: "1h", name: "1 h", label: "1 hour", span: { rangeMs: 60 * MINUTE, stepMs: 20_000, windowMs: MINUTE } },
  { id: "6h", name: "6 h", label: "6 hours", span: { rangeMs: 360 * MINUTE, stepMs: 90_000, windowMs: 90_000 } },
  { id: "24h", name: "24 h", label: "24 hours", span: { rangeMs: 1440 * MINUTE, stepMs: 300_000, windowMs: 300_000 } },
];

export function spanOf(id: string): Span {
  return (SPANS.find((one) => one.id === id) ?? SPANS[0]!).span;
}

export function inputSelector(input: Input): string {
  return selector(input.metric, input.matchers);
}

const duration = (ms: number): string => `${Math.round(ms / 1000)}s`;

/** Steps up to this show single samples; longer ones averages, which stand half a step too late. */
const SINGLE_SAMPLE_STEP_MS = 20_000;

/** PromQL for the history. Functions over one step leave a hole where there was no sample. */
export function historyExpr(input: Input, span: Span): string {
  const text = inputSelector(input);
  const overStep = span.stepMs <= SINGLE_SAMPLE_STEP_MS ? "last_over_time" : "avg_over_time";
  if (input.kind === "gauge") return `${overStep}(${text}[${duration(span.stepMs)}])`;
  const rate = `rate(${text}[${duration(span.windowMs)}])`;
  if (input.by === null) return rate;
  return input.by.length === 0 ? `sum(${rate})` : `sum by (${input.by.join(",")}) (${rate})`;
}

/**
 * The history ends this long before now, ms: newer samples may still be on their way, and a rate over
 * half a window would bend the line. Raw samples draw the rest.
 */
export const SETTLE_MS = 15_000;

/** How far back raw samples are needed to go on where the history ends, ms. */
export function seedMs(input: Input, span: Span): number {
  return SETTLE_MS + span.stepMs + (input.kind === "counter" ? span.windowMs : 0);
}

/** PromQL for the newest raw samples, an instant query. */
export function seedExpr(input: Input, span: Span): string {
  return `${inputSelector(input)}[${duration(seedMs(input, span))}]`;
}

/** Labels that every series of a source shares, and that say nothing in a legend. */
export const COMMON_LABELS = ["__name__", "source", "instance", "job"] as const;

/** What tells the series of one metric apart, as a legend writes it. */
export function legendOf(labels: Labels, shared: readonly string[] = COMMON_LABELS): string {
  const own = Object.entries(labels).filter(
    ([name, value]) => !shared.includes(name) && !(name === "instance" && value === labels.source),
  );
  if (own.length === 0) return labels.__name__ ?? "value";
  if (own.length === 1) return own[0]![1];
  return own.map(([name, value]) => `${name}=${value}`).join(" ");
}
