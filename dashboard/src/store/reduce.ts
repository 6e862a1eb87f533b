/** The next state, from the state and one event. Pure: times come with the events. */
import type { Alert, Check, Pager, PageFrame, RuleGroup, Source } from "../api/types";
import type { LinkState } from "../live/link";
import { LIVE_ERRORS_MAX, type Loaded, type State } from "./state";

interface Lists {
  sources: Source[];
  checks: Check[];
  alerts: Alert[];
  pager: Pager;
  rules: RuleGroup[];
}

export type Area = keyof Lists;

export type Event =
  | { [A in Area]: { type: "loaded"; area: A; value: Lists[A]; atMs: number } }[Area]
  | { type: "failed"; area: Area; error: string }
  | { type: "link"; state: LinkState; atMs: number }
  | { type: "frame"; frame: PageFrame; atMs: number }
  | { type: "dismiss_live_errors" };

export function reduce(state: State, event: Event): State {
  switch (event.type) {
    case "loaded": {
      const loaded = { value: event.value, atMs: event.atMs, error: null };
      return heard({ ...state, [event.area]: loaded }, event.atMs);
    }
    case "failed":
      return { ...state, [event.area]: { ...state[event.area], error: event.error } };
    case "link":
      return { ...state, connection: nextConnection(state, event.state, event.atMs) };
    case "frame":
      return heard(applyFrame(state, event.frame, event.atMs), event.atMs);
    case "dismiss_live_errors":
      return { ...state, liveErrors: [] };
  }
}

function heard(state: State, atMs: number): State {
  return { ...state, connection: { ...state.connection, heardAtMs: atMs } };
}

function nextConnection(state: State, link: LinkState, atMs: number): State["connection"] {
  const old = state.connection;
  if (link.kind === "open") {
    return { kind: "open", text: "", retryAtMs: 0, heardAtMs: atMs, lostAtMs: 0 };
  }
  if (link.kind === "connecting") return { ...old, kind: "connecting", retryAtMs: 0 };
  const lostAtMs = old.lostAtMs === 0 ? atMs : old.lostAtMs;
  return { ...old, kind: "lost", text: link.text, retryAtMs: link.retryAtMs, lostAtMs };
}

function applyFrame(state: State, frame: PageFrame, atMs: number): State {
  switch (frame.kind) {
    case "samples":
      return state;
    case "alerts":
      return { ...state, alerts: { value: frame.alerts, atMs, error: null } };
    case "checks":
      return { ...state, checks: fresh(state.checks, joinChecks(state.checks.value ?? [], frame.checks)) };
    case "gone":
      return { ...state, sources: fresh(state.sources, markGone(state.sources.value, frame.sources)) };
    case "error":
      return { ...state, liveErrors: joinErrors(state.liveErrors, frame.text) };
  }
}

const fresh = <T>(old: Loaded<T>, value: T | null): Loaded<T> => ({ ...old, value });

/** New results replace those of the same source and check, unless they are older. */
export function joinChecks(old: readonly Check[], news: readonly Check[]): Check[] {
  const key = (check: Check): string => JSON.stringify([check.source, check.check]);
  const all = new Map(old.map((check) => [key(check), check]));
  for (const check of news) {
    const known = all.get(key(check));
    if (!known || (check.at_ms ?? Infinity) >= (known.at_ms ?? 0)) all.set(key(check), check);
  }
  return [...all.values()];
}

function markGone(sources: Source[] | null, names: readonly string[]): Source[] | null {
  return sources?.map((one) => (names.includes(one.name) ? { ...one, present: false } : one)) ?? null;
}

function joinErrors(old: readonly string[], text: string): string[] {
  return [text, ...old.filter((one) => one !== text)].slice(0, LIVE_ERRORS_MAX);
}
