import { describe, expect, test } from "vitest";
import { backoffMs, BACKOFF_FIRST_MS, BACKOFF_MS_MAX } from "./backoff";
import { parseFrame, socketUrl } from "./frames";

test("the wait is anything up to a bound that doubles to its limit", () => {
  expect(backoffMs(0, 0)).toBe(0);
  expect(backoffMs(0, 0.999)).toBeLessThan(BACKOFF_FIRST_MS);
  expect(backoffMs(3, 0.5)).toBe(4_000);
  expect(backoffMs(5, 1)).toBe(BACKOFF_MS_MAX);
  expect(backoffMs(100_000, 1)).toBe(BACKOFF_MS_MAX);
});

describe("frames", () => {
  const known = { kind: "samples", id: "1", series: [{ labels: {}, points: [[1, "2"]] }] };
  test.each<[string, unknown]>([
    [JSON.stringify(known), known],
    ['{"kind":"alerts","alerts":[],"new_field":1}', { kind: "alerts", alerts: [], new_field: 1 }],
    ['{"kind":"error","id":"1","text":"no"}', { kind: "error", id: "1", text: "no" }],
    ['{"kind":"error"}', { kind: "error", id: "", text: "" }],
    ['{"kind":"from_the_future"}', null],
    ['{"kind":"samples","id":"1"}', null],
    ['{"kind":"constructor"}', null],
    ["null", null],
    ["[1]", null],
    ["{", null],
    ["", null],
  ])("%s", (text, expected) => expect(parseFrame(text)).toEqual(expected));
});

test.each([
  ["wss://a.example/prod", "https://b.example/", "wss://a.example/prod?ticket=t%2B1"],
  ["wss://a.example/prod?x=1", "https://b.example/", "wss://a.example/prod?x=1&ticket=t%2B1"],
  ["ws", "http://h:9595/some/prefix/", "ws://h:9595/some/prefix/ws?ticket=t%2B1"],
  ["/ws", "https://h/some/prefix/", "wss://h/ws?ticket=t%2B1"],
])("websocket %s from %s", (wsUrl, page, expected) => expect(socketUrl(wsUrl, "t+1", page)).toBe(expected));
