import { describe, expect, test } from "vitest";
import type { Alert, Check, Source } from "../api/types";
import { joinChecks, reduce, type Event } from "./reduce";
import { initialState, LIVE_ERRORS_MAX, type State } from "./state";

const run = (...events: Event[]): State => events.reduce(reduce, initialState);
const source = (name: string, present = true): Source => ({
  name, kind: "agent", present, last_seen_ms: 1,
  counters: { generated: 0, stored: 0, superseded: 0, buffered: 0, evicted: 0, rejected: {} },
});
const check = (name: string, status: number, at_ms: number): Check => ({ source: "a", check: name, status, hard: true, state_since_ms: 0, at_ms, text: "" });
const alert: Alert = { labels: { alertname: "X" }, annotations: {}, state: "firing", activeAt: "", value: "1" };

describe("lists", () => {
  test("an answer clears the error; an error keeps the last value", () => {
    const loaded: Event = { type: "loaded", area: "sources", value: [source("a")], atMs: 5 };
    const failed: Event = { type: "failed", area: "sources", error: "away" };
    expect(run(loaded, failed).sources).toMatchObject({ value: [{ name: "a" }], error: "away", atMs: 5 });
    expect(run(failed, loaded).sources.error).toBeNull();
  });

  test("live alerts replace the whole list", () => {
    expect(run({ type: "frame", frame: { kind: "alerts", alerts: [alert] }, atMs: 1 }, { type: "frame", frame: { kind: "alerts", alerts: [] }, atMs: 2 }).alerts.value).toEqual([]);
  });

  test("live checks replace their own, an older one does not", () => {
    const joined = joinChecks([check("disk", 0, 10), check("load", 0, 10)], [check("disk", 2, 20), check("load", 2, 9)]);
    expect(joined.map((one) => [one.check, one.status])).toEqual([["disk", 2], ["load", 0]]);
  });

  test("gone sources are marked, others stay; before the first list nothing breaks", () => {
    const gone: Event = { type: "frame", frame: { kind: "gone", sources: ["a"] }, atMs: 2 };
    const list: Event = { type: "loaded", area: "sources", value: [source("a"), source("b")], atMs: 1 };
    expect(run(list, gone).sources.value!.map((one) => one.present)).toEqual([false, true]);
    expect(run(gone).sources.value).toBeNull();
  });
});

describe("connection", () => {
  const lost = (atMs: number): Event => ({ type: "link", state: { kind: "lost", text: "ended", retryAtMs: atMs + 9 }, atMs });
  test("the time of loss is that of the first failure, through every retry", () => {
    const state = run({ type: "link", state: { kind: "open" }, atMs: 1 }, lost(10), { type: "link", state: { kind: "connecting" }, atMs: 15 }, lost(20));
    expect(state.connection).toMatchObject({ kind: "lost", lostAtMs: 10, retryAtMs: 29, heardAtMs: 1 });
  });
  test("opening ends it", () => {
    expect(run(lost(10), { type: "link", state: { kind: "open" }, atMs: 30 }).connection).toMatchObject({ kind: "open", lostAtMs: 0, heardAtMs: 30 });
  });
});

test("websocket errors are shown once each, a few at most", () => {
  const texts = ["a", "b", "a", "c", "d", "e"];
  const events = texts.map((text): Event => ({ type: "frame", frame: { kind: "error", id: "1", text }, atMs: 1 }));
  expect(run(...events).liveErrors).toEqual(["e", "d", "c"]);
  expect(run(...events).liveErrors.length).toBe(LIVE_ERRORS_MAX);
  expect(run(...events, { type: "dismiss_live_errors" }).liveErrors).toEqual([]);
});
