/** Frames of the websocket. What is not understood is ignored: servers are newer than open pages. */
import type { PageFrame } from "../api/types";

/** The most selectors that one subscription may carry. */
export const SELECTORS_MAX = 20;
/** The most subscriptions that one connection may have. */
export const SUBSCRIPTIONS_MAX = 20;

const LISTS: Record<string, string> = {
  samples: "series",
  checks: "checks",
  alerts: "alerts",
  gone: "sources",
};

export function parseFrame(text: string): PageFrame | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof parsed !== "object" || parsed === null) return null;
  const frame = parsed as Record<string, unknown>;
  if (frame.kind === "error") {
    return { kind: "error", id: String(frame.id ?? ""), text: String(frame.text ?? "") };
  }
  const list = LISTS[String(frame.kind)];
  if (list === undefined || !Array.isArray(frame[list])) return null;
  return frame as unknown as PageFrame;
}

/** The websocket's address; a relative one belongs to the page's own. */
export function socketUrl(wsUrl: string, ticket: string, pageUrl: string): string {
  const url = new URL(wsUrl, pageUrl);
  if (url.protocol === "http:") url.protocol = "ws:";
  if (url.protocol === "https:") url.protocol = "wss:";
  url.searchParams.set("ticket", ticket);
  return url.toString();
}
