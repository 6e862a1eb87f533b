/** Loads one graph: history and seed over HTTP, then live samples; again every minute and after a gap. */
import { historyExpr, inputSelector, seedExpr, SETTLE_MS, type Span } from "../data/input";
import { Feed } from "../data/feed";
import type { Line, Panel } from "../panels/panel";
import type { SeriesPoints } from "../api/types";
import type { Session } from "./session";

/** The history is asked for again after this much: it heals holes that late data filled, ms. */
export const REFRESH_MS = 60_000;

export interface Graph {
  lines: Line[];
  loaded: boolean;
  error: string | null;
  newestMs: number;
}

export class Loader {
  private readonly feeds: Map<string, Feed>;
  private readonly byMetric: Map<string, Feed>;
  private readonly unwatch: () => void;
  private readonly refresh: ReturnType<typeof setInterval> | undefined;
  private loaded = false;
  private error: string | null = null;
  private ended = false;
  private turn = 0;
  private drawing = false;

  constructor(
    private readonly session: Session,
    private readonly panel: Panel,
    private readonly span: Span,
    /** The end of the shown range where it is fixed; `null` follows the present. */
    private readonly atMs: number | null,
    private readonly changed: (graph: Graph) => void,
  ) {
    this.feeds = new Map(panel.inputs.map((input) => [input.key, new Feed(input, span)]));
    this.byMetric = new Map(panel.inputs.map((input) => [input.metric, this.feeds.get(input.key)!]));
    this.unwatch =
      atMs === null
        ? session.watch(panel.inputs.map(inputSelector), this.samples, () => void this.load(true))
        : () => undefined;
    this.refresh = atMs === null ? setInterval(() => void this.load(false), REFRESH_MS) : undefined;
    void this.load(atMs === null);
  }

  close(): void {
    this.ended = true;
    clearInterval(this.refresh);
    this.unwatch();
  }

  private readonly samples = (series: SeriesPoints[]): void => {
    let newer = false;
    for (const [metric, feed] of this.byMetric) {
      const own = series.filter((one) => one.labels.__name__ === metric);
      if (own.length > 0) newer = feed.add(own) || newer;
    }
    if (newer) this.show();
  };

  /** Asks for the history; with `seed` for raw samples too, where no live ones led up to now. */
  private async load(seed: boolean): Promise<void> {
    this.turn += 1;
    const turn = this.turn;
    const now = this.session.client.serverNow();
    const settled = this.atMs ?? now - SETTLE_MS;
    const endMs = Math.floor(settled / this.span.stepMs) * this.span.stepMs;
    const range = { startMs: endMs - this.span.rangeMs, endMs, stepMs: this.span.stepMs };
    try {
      await Promise.all(
        [...this.feeds.values()].map(async (feed) => {
          const [history, raw] = await Promise.all([
            this.session.client.range(historyExpr(feed.input, this.span), range),
            seed ? this.session.client.instant(seedExpr(feed.input, this.span), now) : [],
          ]);
          if (this.ended || turn !== this.turn) return;
          feed.setHistory(history);
          feed.add(raw);
        }),
      );
      this.error = null;
      if (!seed && this.atMs === null && [...this.feeds.values()].some((feed) => feed.isLiveBehind())) this.session.suspectLive();
    } catch (cause) {
      this.error = cause instanceof Error ? cause.message : String(cause);
    }
    if (this.ended || turn !== this.turn) return;
    this.loaded = true;
    this.show();
  }

  /** Draws at most once a frame, however many messages came. */
  private show(): void {
    if (this.drawing) return;
    this.drawing = true;
    setTimeout(() => {
      this.drawing = false;
      if (this.ended) return;
      const newest = Math.max(0, ...[...this.feeds.values()].map((feed) => feed.newestMs()));
      const lines = this.panel.lines((key) => this.feeds.get(key)?.lines() ?? []);
      this.changed({ lines, loaded: this.loaded, error: this.error, newestMs: newest });
    }, 16);
  }
}
