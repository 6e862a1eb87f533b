/** Shapes of the HTTP API and of the page's websocket frames, as the contract words them. */

export type Labels = Readonly<Record<string, string>>;

/** Milliseconds since the epoch, and a value. */
export type Point = readonly [ms: number, value: number];

export interface SeriesPoints {
  labels: Labels;
  points: Point[];
}

export interface Counters {
  generated: number;
  stored: number;
  superseded: number;
  buffered: number;
  evicted: number;
  rejected: Record<string, number>;
  /** Generated, and none of the others; on its way, or lost by a fault of Daywatch. */
  missing?: number;
}

/** A second live agent that uses a source's name and was refused. */
export interface Conflict {
  host: string;
  run_id: string;
  at_ms: number;
  text: string;
}

export interface Source {
  name: string;
  /** `agent`, or `push` for senders over HTTP. */
  kind: string;
  present: boolean;
  last_seen_ms: number;
  counters: Counters;
  conflict?: Conflict | null;
  host?: string;
  agent_version?: string;
}

export interface PerfItem {
  label: string;
  value: number | null;
  unit: string;
  warn: string;
  crit: string;
  min: number | null;
  max: number | null;
}

export interface Check {
  source: string;
  check: string;
  status: number;
  hard: boolean;
  state_since_ms: number;
  at_ms?: number;
  text: string;
  perfdata?: PerfItem[];
}

export interface Alert {
  labels: Labels;
  annotations: Labels;
  state: string;
  activeAt: string;
  value: string;
}

export interface Receiver {
  name: string;
  to: string;
  delivered: boolean;
  answer: string;
  at_ms: number;
}

/** Somebody who is subscribed to a topic; the address is shortened by the server. */
export interface Subscriber {
  destination: "pager" | "mail";
  protocol: string;
  endpoint: string;
  confirmed: boolean;
}

/** A notification that a receiver has not taken yet. */
export interface Undelivered {
  receiver: string;
  to: string;
  labels: Labels;
  due_at_ms: number | null;
  attempts: { at: number; answer: string; permanent: boolean }[];
  gave_up: boolean;
}

/** What is optional is not sent by older servers. */
export interface Pager {
  connected: boolean;
  receivers: Receiver[];
  /** Whether there are topics for pager and mail. */
  topics?: boolean;
  waiting?: Undelivered[];
  subscribers?: Subscriber[];
  subscribers_error?: string | null;
}

export interface Rule {
  name: string;
  type: string;
  query: string;
  duration?: number;
  labels?: Labels;
  annotations?: Labels;
  health?: string;
  lastError?: string;
  state?: string;
}

export interface RuleGroup {
  name: string;
  file: string;
  interval: number;
  rules: Rule[];
}

export interface Ticket {
  ticket: string;
  ws_url: string;
  expires_at_ms: number;
}

/** A series as a frame carries it: values are text, as in Prometheus's API. */
export interface WatchedSeries {
  labels: Labels;
  points: [number, string][];
}

export type PageFrame =
  | { kind: "samples"; id: string; series: WatchedSeries[] }
  | { kind: "checks"; checks: Check[] }
  | { kind: "alerts"; alerts: Alert[] }
  | { kind: "gone"; sources: string[] }
  | { kind: "error"; id: string; text: string };

export type BrowserFrame =
  | { action: "subscribe"; id: string; match: string[] }
  | { action: "unsubscribe"; id: string }
  | { action: "ping" };
