import { expect, test } from "vitest";
import type { Pager, Receiver, Subscriber, Undelivered } from "../api/types";
import { about, failing, lastAnswer, silence, sortSubscribers, undelivered } from "./pager";

const receiver = (change: Partial<Receiver>): Receiver => ({ name: "pager", to: "the pager topic", delivered: true, answer: "", at_ms: 0, ...change });
const subscriber = (destination: "pager" | "mail", confirmed: boolean, endpoint = "https://events.example/…"): Subscriber => ({ destination, confirmed, endpoint, protocol: "https" });
const pager = (change: Partial<Pager>): Pager => ({ connected: false, topics: true, receivers: [], waiting: [], subscribers: [], subscribers_error: null, ...change });

test("a connected pager is no silence, also of an older server", () => {
  expect(silence(pager({ connected: true }))).toBeNull();
  expect(silence({ connected: true, receivers: [] })).toBeNull();
});

test("without topics a receiver is to be named", () => {
  for (const one of [pager({ topics: false }), { connected: false, receivers: [] }]) {
    const found = silence(one);
    expect(found?.todo).toContain("Alertmanager file");
    expect(found?.command).toBe("daywatch notify test");
  }
});

test("with topics it says who has to confirm, or that nobody is subscribed", () => {
  const nobody = silence(pager({ subscribers: [subscriber("mail", true)] }));
  expect(nobody).toMatchObject({ causes: [], todo: "Subscribe a pager to the pager topic, then try it with" });
  const pending = silence(pager({ subscribers: [subscriber("pager", false)] }));
  expect(pending?.causes).toEqual(["The subscription of https://events.example/… (https) waits to be confirmed there."]);
  expect(pending?.command).toBe("daywatch notify test --receiver pager");
});

test("a topic that takes nothing, and subscribers that cannot be read, are told", () => {
  const broken = pager({ subscribers: [subscriber("pager", true)], receivers: [receiver({ delivered: false, answer: "NotFound", at_ms: 5 })] });
  expect(silence(broken)?.causes).toEqual(["The pager topic did not take its last notification: NotFound"]);
  expect(failing(broken).map((one) => one.name)).toEqual(["pager"]);
  expect(failing(pager({ receivers: [receiver({ delivered: false })] }))).toEqual([]);
  expect(silence(pager({ subscribers_error: "AccessDenied" }))?.causes).toEqual(["Who is subscribed cannot be read: AccessDenied"]);
});

test("subscribers: the pager's first, and of each those who have not confirmed", () => {
  const sorted = sortSubscribers([subscriber("mail", true, "d"), subscriber("pager", true, "b"), subscriber("mail", false, "c"), subscriber("pager", true, "a"), subscriber("pager", false, "z")]);
  expect(sorted.map((one) => one.endpoint)).toEqual(["z", "a", "b", "c", "d"]);
});

test("what was not delivered: given up first, then the next to be tried; what was not tried yet is no failure", () => {
  const one = (receiver: string, due_at_ms: number | null, answers: string[]): Undelivered => ({
    receiver,
    to: "x",
    labels: { alertname: "DiskFull", instance: "web-1" },
    due_at_ms,
    gave_up: due_at_ms === null,
    attempts: answers.map((answer) => ({ at: 1, answer, permanent: due_at_ms === null })),
  });
  const found = undelivered(pager({ waiting: [one("late", 9, ["503"]), one("new", 3, []), one("soon", 5, ["502", "503"]), one("never", null, ["404"])] }));
  expect(found.map((each) => each.receiver)).toEqual(["never", "soon", "late"]);
  expect(lastAnswer(one("soon", 5, ["502", "503"]))).toBe("503");
  expect(about(one("soon", 5, []))).toBe("DiskFull web-1");
  expect(undelivered({ connected: true, receivers: [] })).toEqual([]);
});
