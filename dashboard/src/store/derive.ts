/** What the views show, computed from the state. Pure. */
import type { Alert, Check, Counters, Source } from "../api/types";

export const STATUS_NAMES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"] as const;
export type StatusName = (typeof STATUS_NAMES)[number];

/** Worst first: CRITICAL, UNKNOWN, WARNING, OK, as people on call want to read them. */
const ORDER: Record<StatusName, number> = { CRITICAL: 0, UNKNOWN: 1, WARNING: 2, OK: 3 };

export function statusName(status: number): StatusName {
  return STATUS_NAMES[status] ?? "UNKNOWN";
}

export function sortChecks(checks: readonly Check[]): Check[] {
  return [...checks].sort(
    (a, b) =>
      ORDER[statusName(a.status)] - ORDER[statusName(b.status)] ||
      compare(a.source, b.source) ||
      compare(a.check, b.check),
  );
}

export function countChecks(checks: readonly Check[]): Record<StatusName, number> {
  const counts = { OK: 0, WARNING: 0, CRITICAL: 0, UNKNOWN: 0 };
  for (const check of checks) counts[statusName(check.status)] += 1;
  return counts;
}

const SEVERITIES = ["page", "critical", "error", "warning"];

/** Firing before pending, then by severity, then the newest first. */
export function sortAlerts(alerts: readonly Alert[]): Alert[] {
  const severity = (alert: Alert): number => {
    const at = SEVERITIES.indexOf(alert.labels.severity ?? "");
    return at < 0 ? SEVERITIES.length : at;
  };
  const state = (alert: Alert): number => (alert.state === "firing" ? 0 : 1);
  return [...alerts].sort(
    (a, b) =>
      state(a) - state(b) ||
      severity(a) - severity(b) ||
      Date.parse(b.activeAt) - Date.parse(a.activeAt) ||
      compare(alertKey(a), alertKey(b)),
  );
}

export function alertKey(alert: Alert): string {
  return JSON.stringify(Object.entries(alert.labels).sort());
}

/** The source that an alert is about, where its labels say so. */
export function alertSource(alert: Alert): string | null {
  return alert.labels.source ?? alert.labels.instance ?? null;
}

/** Sources in need first: conflicts and absence, then by name. */
export function sortSources(sources: readonly Source[]): Source[] {
  const rank = (source: Source): number => (source.conflict ? 0 : isLost(source) ? 1 : 2);
  return [...sources].sort((a, b) => rank(a) - rank(b) || compare(a.name, b.name));
}

/** Only an agent is expected to be there all the time; senders come and go. */
export function isLost(source: Source): boolean {
  return source.kind === "agent" && !source.present;
}

export function rejectedTotal(counters: Counters): number {
  return Object.values(counters.rejected ?? {}).reduce((sum, n) => sum + n, 0);
}

/** Samples that are none of stored, superseded, rejected, evicted or buffered. */
export function missing(counters: Counters): number {
  if (counters.missing !== undefined) return counters.missing;
  return (
    counters.generated -
    counters.stored -
    counters.superseded -
    counters.evicted -
    counters.buffered -
    rejectedTotal(counters)
  );
}

export interface Warning {
  source: string;
  kind: "conflict" | "rejected" | "evicted";
  text: string;
}

export function sourceWarnings(source: Source): Warning[] {
  const warnings: Warning[] = [];
  const { conflict, counters } = source;
  if (conflict) {
    const text = conflict.text || `another agent on ${conflict.host || "an unnamed host"} uses this name and was refused`;
    warnings.push({ source: source.name, kind: "conflict", text });
  }
  const rejected = Object.entries(counters.rejected ?? {}).filter(([, n]) => n > 0);
  if (rejected.length > 0) {
    const text = rejected.map(([reason, n]) => `${reason} ${n}`).join(", ");
    warnings.push({ source: source.name, kind: "rejected", text });
  }
  if (counters.evicted > 0) {
    const text = `${counters.evicted} thrown out of a full buffer`;
    warnings.push({ source: source.name, kind: "evicted", text });
  }
  return warnings;
}

export function compare(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}
