/**
 * One signed-in session: polls what has no live frame, owns the websocket, and hands samples to the
 * graphs that asked for them.
 */
import { ApiError, Client } from "../api/client";
import { pointsFromFrame } from "../api/prom";
import type { PageFrame, SeriesPoints } from "../api/types";
import { Link } from "../live/link";
import type { Area, Event } from "../store/reduce";
import type { Store } from "../store/store";

/** How often each list is asked for while the websocket stands, ms. */
const POLL_MS: Record<Area, number> = {
  sources: 10_000,
  checks: 30_000,
  alerts: 30_000,
  pager: 20_000,
  rules: 60_000,
};
/** How often while it does not, or while the last try failed. */
const POLL_LOST_MS = 5_000;
/** How often while nobody looks at the page. */
const POLL_HIDDEN_MS = 60_000;
const TICK_MS = 1_000;

export type Samples = (series: SeriesPoints[]) => void;

interface Watch {
  samples: Samples;
  resync: () => void;
}

export class Session {
  readonly client: Client;
  private readonly link: Link;
  private readonly watches = new Map<string, Watch>();
  private watched = 0;
  private readonly askedAtMs = new Map<Area, number>();
  private readonly asking = new Set<Area>();
  private readonly tick: ReturnType<typeof setInterval>;
  private ended = false;

  constructor(
    key: string,
    private readonly store: Store,
    private readonly keyRefused: (error: ApiError) => void,
  ) {
    this.client = new Client(key);
    this.link = new Link(this.client, {
      state: (state) => this.store.send({ type: "link", state, atMs: Date.now() }),
      opened: (afterGap) => this.opened(afterGap),
      frame: (frame) => this.frame(frame),
      keyRefused: (error) => this.refuse(error),
    });
    this.tick = setInterval(() => this.poll(), TICK_MS);
    document.addEventListener("visibilitychange", this.poll);
    this.poll();
  }

  /** Asks for live samples. Answers a function that ends it. `resync` is called after a gap. */
  watch(selectors: string[], samples: Samples, resync: () => void): () => void {
    this.watched += 1;
    const id = String(this.watched);
    this.watches.set(id, { samples, resync });
    this.link.subscribe(id, selectors);
    return () => {
      this.watches.delete(id);
      this.link.unsubscribe(id);
    };
  }

  /** A graph saw by HTTP what the websocket should have brought. */
  suspectLive(): void {
    this.link.suspect();
  }

  close(): void {
    this.ended = true;
    clearInterval(this.tick);
    document.removeEventListener("visibilitychange", this.poll);
    this.link.close();
  }

  private opened(afterGap: boolean): void {
    if (!afterGap) return;
    this.askedAtMs.clear();
    this.poll();
    for (const watch of this.watches.values()) watch.resync();
  }

  private frame(frame: PageFrame): void {
    this.store.send({ type: "frame", frame, atMs: Date.now() });
    if (frame.kind === "samples") {
      this.watches.get(frame.id)?.samples(frame.series.map(pointsFromFrame));
    }
    if (frame.kind === "checks" && this.knowsNot(frame.checks.map((check) => check.source))) {
      this.askedAtMs.delete("sources");
    }
  }

  private knowsNot(names: string[]): boolean {
    const known = this.store.state.sources.value ?? [];
    return names.some((name) => !known.some((source) => source.name === name));
  }

  private readonly poll = (): void => {
    for (const area of Object.keys(POLL_MS) as Area[]) {
      if (this.asking.has(area) || Date.now() - (this.askedAtMs.get(area) ?? 0) < this.pauseMs(area)) continue;
      this.askedAtMs.set(area, Date.now());
      void this.ask(area);
    }
  };

  private pauseMs(area: Area): number {
    if (document.visibilityState === "hidden") return POLL_HIDDEN_MS;
    const { connection, [area]: loaded } = this.store.state;
    const troubled = connection.kind !== "open" || loaded.error !== null;
    return troubled && area !== "rules" ? POLL_LOST_MS : POLL_MS[area];
  }

  private async ask(area: Area): Promise<void> {
    this.asking.add(area);
    try {
      const value = await this.client[area]();
      if (!this.ended) this.store.send({ type: "loaded", area, value, atMs: Date.now() } as Event);
    } catch (cause) {
      if (this.ended) return;
      // A key that may read sources but not, say, rules shows an error there and stays signed in.
      if (cause instanceof ApiError && (area === "sources" ? cause.isKeyRefused : cause.isKeyUnknown)) this.refuse(cause);
      else this.store.send({ type: "failed", area, error: cause instanceof Error ? cause.message : String(cause) });
    } finally {
      this.asking.delete(area);
    }
  }

  private refuse(error: ApiError): void {
    if (this.ended) return;
    this.close();
    this.keyRefused(error);
  }
}
