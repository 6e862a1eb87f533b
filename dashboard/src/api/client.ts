/**
 * The HTTP API, typed. Every failure becomes an `ApiError` that carries what the server said; no
 * failure is swallowed here. URLs are relative to the page, which may stand below a prefix.
 */
import type { Alert, Check, Labels, Pager, RuleGroup, SeriesPoints, Source, Ticket } from "./types";
import { pointsFrom } from "./prom";

/** The longest that a request may take before the page says so, ms. */
export const REQUEST_MS_MAX = 15_000;

/** A clock that differs from the server's by less than this is taken as equal, ms. */
const SKEW_MS_MIN = 3_000;

export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 where there was no answer. */
    readonly status: number,
    /** Prometheus's error type, or `network`. */
    readonly type: string,
    text: string,
  ) {
    super(text);
    this.name = "ApiError";
  }

  /** The key is wrong or revoked; or, asked of a thing that every page needs, may not read at all. */
  get isKeyRefused(): boolean {
    return this.status === 401 || this.status === 403;
  }

  /** The key is wrong or revoked, whatever was asked for. */
  get isKeyUnknown(): boolean {
    return this.status === 401;
  }
}

export interface Range {
  startMs: number;
  endMs: number;
  stepMs: number;
}

const seconds = (ms: number): string => String(ms / 1000);

export class Client {
  private skewMs = 0;

  constructor(
    private readonly key: string,
    private readonly fetcher: typeof fetch = (...args) => fetch(...args),
    private readonly clock: () => number = Date.now,
  ) {}

  /** The server's time, as far as its `Date` header tells it. */
  serverNow(): number {
    return this.clock() + this.skewMs;
  }

  sources = () => this.get<Source[]>("api/v1/sources");
  checks = () => this.get<Check[]>("api/v1/checks");
  pager = () => this.get<Pager>("api/v1/status/pager");
  ticket = () => this.call<Ticket>("POST", "api/v1/ticket");
  alerts = async () => (await this.get<{ alerts: Alert[] }>("api/v1/alerts")).alerts;
  rules = async () => (await this.get<{ groups: RuleGroup[] }>("api/v1/rules")).groups;

  async range(expr: string, range: Range): Promise<SeriesPoints[]> {
    return pointsFrom(
      await this.get("api/v1/query_range", {
        query: expr,
        start: seconds(range.startMs),
        end: seconds(range.endMs),
        step: seconds(range.stepMs),
      }),
    );
  }

  async instant(expr: string, atMs: number): Promise<SeriesPoints[]> {
    return pointsFrom(await this.get("api/v1/query", { query: expr, time: seconds(atMs) }));
  }

  series = (match: string, startMs: number, endMs: number) =>
    this.get<Labels[]>("api/v1/series", {
      "match[]": match,
      start: seconds(startMs),
      end: seconds(endMs),
    });

  private get<T>(path: string, query?: Record<string, string>): Promise<T> {
    const text = query ? `?${new URLSearchParams(query).toString()}` : "";
    return this.call<T>("GET", path + text);
  }

  private async call<T>(method: string, path: string): Promise<T> {
    let answer: Response;
    try {
      answer = await this.fetcher(path, {
        method,
        headers: { Authorization: `Bearer ${this.key}` },
        cache: "no-store",
        signal: AbortSignal.timeout(REQUEST_MS_MAX),
      });
    } catch (cause) {
      const late = cause instanceof DOMException && cause.name === "TimeoutError";
      throw new ApiError(
        0,
        "network",
        late ? `no answer within ${REQUEST_MS_MAX / 1000} s` : "the server cannot be reached",
      );
    }
    this.noteClock(answer.headers.get("date"));
    return unwrap<T>(answer.status, await answer.text());
  }

  private noteClock(date: string | null): void {
    const server = date === null ? Number.NaN : Date.parse(date);
    if (Number.isNaN(server)) return;
    const skew = server + 500 - this.clock();
    this.skewMs = Math.abs(skew) < SKEW_MS_MIN ? 0 : skew;
  }
}

/** Takes `data` out of an answer, or throws what the answer says is wrong. */
export function unwrap<T>(status: number, body: string): T {
  let parsed: { status?: string; data?: unknown; error?: string; errorType?: string } | undefined;
  try {
    parsed = JSON.parse(body) as typeof parsed;
  } catch {
    parsed = undefined;
  }
  if (status >= 200 && status < 300 && parsed?.status === "success") return parsed.data as T;
  const fallback = `HTTP ${status}${body.length > 0 && body.length < 200 ? `: ${body.trim()}` : ""}`;
  throw new ApiError(status, parsed?.errorType ?? "http", parsed?.error ?? fallback);
}
