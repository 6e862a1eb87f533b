import { expect, test } from "vitest";
import type { Alert, Check, Counters, Source } from "../api/types";
import { countChecks, isLost, missing, sortAlerts, sortChecks, sortSources, sourceWarnings, statusName } from "./derive";

const counters = (more: Partial<Counters> = {}): Counters => ({ generated: 0, stored: 0, superseded: 0, buffered: 0, evicted: 0, rejected: {}, ...more });
const source = (name: string, more: Partial<Source> = {}): Source => ({ name, kind: "agent", present: true, last_seen_ms: 1, counters: counters(), ...more });
const check = (name: string, status: number): Check => ({ source: "a", check: name, status, hard: true, state_since_ms: 0, text: "" });
const alert = (alertname: string, state: string, severity: string, activeAt = "2026-01-01T00:00:00Z"): Alert => ({ labels: { alertname, severity }, annotations: {}, state, activeAt, value: "1" });

test("a status that no plugin should give is UNKNOWN", () => {
  expect([0, 1, 2, 3, 4, -1].map(statusName)).toEqual(["OK", "WARNING", "CRITICAL", "UNKNOWN", "UNKNOWN", "UNKNOWN"]);
});

test("checks: the worst first, then by name with numbers as numbers", () => {
  const checks = [check("c10", 0), check("c9", 0), check("w", 1), check("u", 3), check("x", 2)];
  expect(sortChecks(checks).map((one) => one.check)).toEqual(["x", "u", "w", "c9", "c10"]);
  expect(countChecks(checks)).toEqual({ OK: 2, WARNING: 1, CRITICAL: 1, UNKNOWN: 1 });
});

test("alerts: firing first, then severity, then the newest", () => {
  const alerts = [alert("p", "pending", "page"), alert("old", "firing", "page"), alert("w", "firing", "warning"), alert("new", "firing", "page", "2026-01-02T00:00:00Z")];
  expect(sortAlerts(alerts).map((one) => one.labels.alertname)).toEqual(["new", "old", "w", "p"]);
});

test("sources in need first; a sender that is silent is not lost", () => {
  const conflict = { host: "h", run_id: "r", at_ms: 1, text: "" };
  const sources = [source("b"), source("gone", { present: false }), source("push", { kind: "push", present: false }), source("two", { conflict })];
  expect(sortSources(sources).map((one) => one.name)).toEqual(["two", "gone", "b", "push"]);
  expect(sources.filter(isLost).map((one) => one.name)).toEqual(["gone"]);
});

test("the ledger's remainder is what is on its way", () => {
  const all = counters({ generated: 100, stored: 50, superseded: 5, buffered: 20, evicted: 10, rejected: { a: 3, b: 2 } });
  expect(missing(all)).toBe(10);
  expect(missing({ ...all, missing: 0 })).toBe(0);
});

test("warnings name conflicts, reasons and losses; a quiet source has none", () => {
  expect(sourceWarnings(source("a", { counters: counters({ rejected: { late: 0 } }), conflict: null }))).toEqual([]);
  const loud = source("a", { counters: counters({ evicted: 7, rejected: { late: 2 } }), conflict: { host: "h2", run_id: "r", at_ms: 1, text: "" } });
  expect(sourceWarnings(loud).map((one) => [one.kind, one.text])).toEqual([
    ["conflict", "another agent on h2 uses this name and was refused"],
    ["rejected", "late 2"],
    ["evicted", "7 thrown out of a full buffer"],
  ]);
});
