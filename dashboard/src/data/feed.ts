/**
 * One input's points: the history that the server computed, and raw samples since, turned into the
 * same quantity. Knows no network and no clock; the loader hands it what arrives.
 */
import type { Point, SeriesPoints } from "../api/types";
import { after, keyOf, merge, sumBy } from "./points";
import { rates } from "./rate";
import { COMMON_LABELS, seedMs, type Input, type Span } from "./input";

/** Raw samples are kept for this long beyond what the next history will cover, ms. */
const TAIL_SLACK_MS = 180_000;

/** Live samples may lag behind the history by this and a rate's window, ms. */
const BEHIND_MS = 20_000;

/** The most live series kept for one input; beyond, new ones are left to the history. */
export const TAILS_MAX = 2_000;

export class Feed {
  private history: SeriesPoints[] = [];
  private tails = new Map<string, SeriesPoints>();
  private newest = 0;

  constructor(
    readonly input: Input,
    readonly span: Span,
  ) {}

  setHistory(series: readonly SeriesPoints[]): void {
    this.history = [...series];
  }

  /** Raw samples, from the seed query or live. Answers whether any was newer than all before. */
  add(series: readonly SeriesPoints[]): boolean {
    const before = this.newest;
    for (const one of series) {
      const key = keyOf(one.labels, null, ["__name__"]);
      const tail = this.tails.get(key);
      if (!tail && this.tails.size >= TAILS_MAX) continue;
      const points = merge(tail?.points ?? [], one.points);
      this.tails.set(key, { labels: one.labels, points });
      this.newest = Math.max(this.newest, points.at(-1)?.[0] ?? 0);
    }
    this.trim();
    return this.newest > before;
  }

  /** Time of the newest point, ms; 0 where there is none. */
  newestMs(): number {
    return this.history.reduce((max, one) => Math.max(max, one.points.at(-1)?.[0] ?? 0), this.newest);
  }

  /** Whether live samples lag behind the history, so that the websocket must be dead. */
  isLiveBehind(): boolean {
    if (this.span.stepMs > BEHIND_MS || this.newest === 0) return false;
    const told = this.history.reduce((max, one) => Math.max(max, one.points.at(-1)?.[0] ?? 0), 0);
    return told - this.newest > BEHIND_MS + this.span.windowMs;
  }

  /** The lines: history, then what live samples add to it. */
  lines(): SeriesPoints[] {
    const live = this.live();
    const byKey = new Map<string, SeriesPoints>();
    for (const one of this.history) byKey.set(this.lineKey(one), one);
    for (const one of live) {
      const key = this.lineKey(one);
      const old = byKey.get(key);
      const last = old?.points.at(-1)?.[0] ?? 0;
      const points: Point[] = [...(old?.points ?? []), ...after(one.points, last)];
      byKey.set(key, { labels: old?.labels ?? one.labels, points });
    }
    return [...byKey.values()];
  }

  private live(): SeriesPoints[] {
    const raw = [...this.tails.values()];
    if (this.input.kind === "gauge") return raw;
    const perSecond = raw.map((one) => ({
      labels: one.labels,
      points: rates(one.points, this.span.windowMs),
    }));
    return this.input.by === null ? perSecond : sumBy(perSecond, this.input.by);
  }

  private lineKey(one: SeriesPoints): string {
    return keyOf(one.labels, this.input.kind === "counter" ? this.input.by : null, COMMON_LABELS);
  }

  private trim(): void {
    const oldest = this.newest - seedMs(this.input, this.span) - TAIL_SLACK_MS;
    for (const [key, tail] of this.tails) {
      const kept = after(tail.points, oldest);
      if (kept.length === 0) this.tails.delete(key);
      else this.tails.set(key, { labels: tail.labels, points: kept });
    }
  }
}
