/** What the page knows. Series are not in here: they move too often and belong to their graphs. */
import type { Alert, Check, Pager, RuleGroup, Source } from "../api/types";

/** Something that is asked for over HTTP, and how that went. */
export interface Loaded<T> {
  value: T | null;
  /** When the value was last confirmed, by the browser's clock; 0 for never. */
  atMs: number;
  error: string | null;
}

export interface Connection {
  kind: "connecting" | "open" | "lost";
  text: string;
  retryAtMs: number;
  /** When anything last arrived, over HTTP or the websocket; 0 for never. */
  heardAtMs: number;
  /** When the connection was lost; 0 while it stands. */
  lostAtMs: number;
}

export interface State {
  sources: Loaded<Source[]>;
  checks: Loaded<Check[]>;
  alerts: Loaded<Alert[]>;
  pager: Loaded<Pager>;
  rules: Loaded<RuleGroup[]>;
  connection: Connection;
  /** Errors that the server sent over the websocket, newest first. */
  liveErrors: string[];
}

/** The most websocket errors shown. */
export const LIVE_ERRORS_MAX = 3;

export const nothing = <T>(): Loaded<T> => ({ value: null, atMs: 0, error: null });

export const initialState: State = {
  sources: nothing(),
  checks: nothing(),
  alerts: nothing(),
  pager: nothing(),
  rules: nothing(),
  connection: { kind: "connecting", text: "", retryAtMs: 0, heardAtMs: 0, lostAtMs: 0 },
  liveErrors: [],
};
