/**
 * The websocket: asks for a ticket, connects, keeps subscriptions fresh, reconnects with jitter.
 * It draws nothing and stores nothing; what arrives goes to `handlers`. After every reconnect
 * `opened` says that there was a gap, so that the owner asks over HTTP for what it missed.
 */
import { ApiError, type Client } from "../api/client";
import type { BrowserFrame, PageFrame } from "../api/types";
import { backoffMs } from "./backoff";
import { parseFrame, SELECTORS_MAX, socketUrl, SUBSCRIPTIONS_MAX } from "./frames";

/** A subscription ends unless it is sent again; half of the server's patience, ms. */
export const RENEW_MS = 30_000;
/** API Gateway ends a connection after 10 min of silence; a ping is sent after this much, ms. */
export const PING_MS = 60_000;
/** A connection that is not open after this long is given up, ms. */
export const OPEN_MS_MAX = 10_000;
/** A connection younger than this is not suspected, ms. */
const SUSPECT_MS_MIN = 60_000;
/** After the page was out of sight for this long, its connection is made anew, ms. */
const ASLEEP_MS = 120_000;
/** A connection must live this long for the next failure to count as a first one, ms. */
const STEADY_MS = 10_000;

export type LinkState =
  | { kind: "connecting" }
  | { kind: "open" }
  | { kind: "lost"; text: string; retryAtMs: number };

export interface LinkHandlers {
  state(state: LinkState): void;
  opened(afterGap: boolean): void;
  frame(frame: PageFrame): void;
  keyRefused(error: ApiError): void;
}

export class Link {
  private socket: WebSocket | null = null;
  private subscriptions = new Map<string, string[]>();
  private attempt = 0;
  private wasOpen = false;
  private ended = false;
  private sentAtMs = 0;
  private openedAtMs = 0;
  private hiddenAtMs = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly renewal: ReturnType<typeof setInterval>;

  constructor(
    private readonly client: Client,
    private readonly handlers: LinkHandlers,
  ) {
    this.renewal = setInterval(() => this.renew(), RENEW_MS);
    window.addEventListener("online", this.hurry);
    document.addEventListener("visibilitychange", this.hurry);
    void this.connect();
  }

  /** Beyond the server's limit a subscription waits for a place; its graph lives by HTTP until then. */
  subscribe(id: string, selectors: readonly string[]): void {
    const match = selectors.slice(0, SELECTORS_MAX);
    this.subscriptions.set(id, match);
    if (this.subscriptions.size <= SUBSCRIPTIONS_MAX) this.send({ action: "subscribe", id, match });
  }

  unsubscribe(id: string): void {
    const wasSent = this.active().some(([one]) => one === id);
    if (!this.subscriptions.delete(id) || !wasSent) return;
    this.send({ action: "unsubscribe", id });
    const next = this.active()[SUBSCRIPTIONS_MAX - 1];
    if (next) this.send({ action: "subscribe", id: next[0], match: next[1] });
  }

  /** The subscriptions that the server is told of: the oldest ones. */
  private active(): [string, string[]][] {
    return [...this.subscriptions].slice(0, SUBSCRIPTIONS_MAX);
  }

  /** Live samples lag behind what HTTP tells: the connection may be dead and not know it. */
  suspect(): void {
    if (this.socket === null || Date.now() - this.openedAtMs < SUSPECT_MS_MIN) return;
    const old = this.socket;
    this.socket = null;
    old.close();
    void this.connect();
  }

  close(): void {
    this.ended = true;
    clearInterval(this.renewal);
    clearTimeout(this.retry);
    window.removeEventListener("online", this.hurry);
    document.removeEventListener("visibilitychange", this.hurry);
    this.socket?.close();
  }

  /** The phone woke up or the network is back: try at once. */
  private readonly hurry = (event: Event): void => {
    if (document.visibilityState === "hidden") {
      this.hiddenAtMs = Date.now();
      return;
    }
    const slept = this.hiddenAtMs > 0 && Date.now() - this.hiddenAtMs > ASLEEP_MS;
    this.hiddenAtMs = 0;
    if (slept || event.type === "online") this.suspect();
    if (this.retry === undefined) return;
    clearTimeout(this.retry);
    this.retry = undefined;
    void this.connect();
  };

  private async connect(): Promise<void> {
    if (this.ended) return;
    this.retry = undefined;
    this.handlers.state({ kind: "connecting" });
    try {
      const { ticket, ws_url } = await this.client.ticket();
      if (!this.ended) this.open(socketUrl(ws_url, ticket, document.baseURI));
    } catch (cause) {
      if (cause instanceof ApiError && cause.isKeyRefused) {
        this.handlers.keyRefused(cause);
        return;
      }
      this.later(cause instanceof Error ? cause.message : "the server cannot be reached");
    }
  }

  private open(url: string): void {
    const socket = new WebSocket(url);
    this.socket = socket;
    let reason = "the connection ended";
    const limit = setTimeout(() => {
      reason = `the websocket did not open within ${OPEN_MS_MAX / 1000} s`;
      socket.close();
    }, OPEN_MS_MAX);
    socket.onopen = () => {
      clearTimeout(limit);
      this.openedAtMs = Date.now();
      this.handlers.state({ kind: "open" });
      for (const [id, match] of this.active()) this.send({ action: "subscribe", id, match });
      this.handlers.opened(this.wasOpen);
      this.wasOpen = true;
    };
    socket.onmessage = (event) => {
      const frame = typeof event.data === "string" ? parseFrame(event.data) : null;
      if (frame) this.handlers.frame(frame);
    };
    socket.onclose = (event) => {
      clearTimeout(limit);
      if (this.socket !== socket) return;
      this.socket = null;
      if (event.reason) reason = event.reason;
      if (!this.ended) this.later(reason);
    };
  }

  private later(text: string): void {
    if (this.ended) return;
    if (this.openedAtMs > 0 && Date.now() - this.openedAtMs > STEADY_MS) this.attempt = 0;
    this.openedAtMs = 0;
    const waitMs = backoffMs(this.attempt, Math.random());
    this.attempt += 1;
    this.handlers.state({ kind: "lost", text, retryAtMs: Date.now() + waitMs });
    clearTimeout(this.retry);
    this.retry = setTimeout(() => void this.connect(), waitMs);
  }

  private renew(): void {
    for (const [id, match] of this.active()) this.send({ action: "subscribe", id, match });
    if (Date.now() - this.sentAtMs >= PING_MS) this.send({ action: "ping" });
  }

  private send(frame: BrowserFrame): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify(frame));
    this.sentAtMs = Date.now();
  }
}
