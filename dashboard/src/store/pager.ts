/** Whether somebody would be woken, who is subscribed, and what was not delivered. Pure. */
import type { Pager, Receiver, Subscriber, Undelivered } from "../api/types";

/** Why nobody would be woken, and what to do about it; `null` while a pager is connected. */
export interface Silence {
  /** What is known of the cause, a sentence each. */
  causes: string[];
  /** What to do, before the command. */
  todo: string;
  command: string;
}

export function silence(pager: Pager): Silence | null {
  if (pager.connected) return null;
  if (!pager.topics) {
    return { causes: [], todo: "Name a receiver in the Alertmanager file, then try it with", command: "daywatch notify test" };
  }
  const mine = (pager.subscribers ?? []).filter((one) => one.destination === "pager");
  const confirmed = mine.some((one) => one.confirmed);
  const causes = mine.filter((one) => !one.confirmed).map((one) => `The subscription of ${one.endpoint} (${one.protocol}) waits to be confirmed there.`);
  if (pager.subscribers_error) causes.push(`Who is subscribed cannot be read: ${pager.subscribers_error}`);
  const topic = pager.receivers.find((one) => one.name === "pager");
  if (confirmed && topic && !topic.delivered && topic.at_ms > 0) {
    causes.push(`The pager topic did not take its last notification: ${topic.answer || "no answer"}`);
  }
  const todo = mine.length === 0 ? "Subscribe a pager to the pager topic, then try it with" : "Then try it with";
  return { causes, todo, command: "daywatch notify test --receiver pager" };
}

/** The receivers whose last answer was that they did not take a notification. */
export function failing(pager: Pager): Receiver[] {
  return pager.receivers.filter((one) => !one.delivered && one.at_ms > 0);
}

/** The pager's subscribers before the mail's, the pending ones first: they need somebody. */
export function sortSubscribers(subscribers: readonly Subscriber[]): Subscriber[] {
  const rank = (one: Subscriber) => (one.destination === "pager" ? 0 : 2) + (one.confirmed ? 1 : 0);
  return [...subscribers].sort((a, b) => rank(a) - rank(b) || (a.endpoint < b.endpoint ? -1 : 1));
}

/** What was tried and not taken: given up first, then what is tried soonest. */
export function undelivered(pager: Pager): Undelivered[] {
  const tried = (pager.waiting ?? []).filter((one) => one.attempts.length > 0);
  return tried.sort((a, b) => Number(b.gave_up) - Number(a.gave_up) || (a.due_at_ms ?? 0) - (b.due_at_ms ?? 0));
}

export function lastAnswer(one: Undelivered): string {
  return one.attempts.at(-1)?.answer || "no answer";
}

/** What it is about: its alert's name, then where. */
export function about(one: Undelivered): string {
  const { alertname, ...rest } = one.labels;
  return [alertname ?? "alert", ...Object.values(rest)].join(" ");
}
