import { describe, expect, test } from "vitest";
import { ApiError, Client, unwrap } from "./client";
import { equals, numberFrom, pointsFrom, selector } from "./prom";

describe("answers", () => {
  const error = (status: number, body: string): ApiError => {
    try {
      unwrap(status, body);
    } catch (cause) {
      return cause as ApiError;
    }
    throw new Error("no error");
  };
  test("data is taken out", () => expect(unwrap(200, '{"status":"success","data":[1]}')).toEqual([1]));
  test("the server's words are kept", () => {
    expect(error(422, '{"status":"error","errorType":"execution","error":"too many series"}')).toMatchObject({ status: 422, type: "execution", message: "too many series" });
  });
  test("a proxy's page is not taken for data", () => {
    expect(error(200, "<html>").message).toBe("HTTP 200: <html>");
    expect(error(502, "").message).toBe("HTTP 502");
    expect(error(503, "x".repeat(5000)).message).toBe("HTTP 503");
  });
  test("401 and 403 are the key's fault, others are not", () => {
    expect([401, 403, 404, 429].map((status) => error(status, "{}").isKeyRefused)).toEqual([true, true, false, false]);
  });
});

describe("client", () => {
  const asked: [string, RequestInit | undefined][] = [];
  const answer = (body: string, headers = {}) => (async (url: string, init?: RequestInit) => {
    asked.push([url, init]);
    return new Response(body, { headers });
  }) as typeof fetch;

  test("addresses are relative, and the key travels in its header", async () => {
    const client = new Client("K", answer('{"status":"success","data":{"resultType":"matrix","result":[]}}'));
    await client.range("a + b", { startMs: 1500, endMs: 2500, stepMs: 500 });
    const [url, init] = asked.at(-1)!;
    expect(url).toBe("api/v1/query_range?query=a+%2B+b&start=1.5&end=2.5&step=0.5");
    expect(init!.headers).toEqual({ Authorization: "Bearer K" });
  });

  test("no answer is an error of its own type", async () => {
    const client = new Client("K", () => Promise.reject(new TypeError("failed")));
    await expect(client.sources()).rejects.toMatchObject({ status: 0, type: "network" });
  });

  test("a clock that is wrong by more than 3 s is corrected by the server's", async () => {
    const at = Date.parse("2026-01-01T00:00:00Z");
    const headers = { date: "Thu, 01 Jan 2026 00:01:00 GMT" };
    const client = new Client("K", answer('{"status":"success","data":[]}', headers), () => at);
    expect(client.serverNow()).toBe(at);
    await client.sources();
    expect(client.serverNow()).toBe(at + 60_500);
    const near = new Client("K", answer('{"status":"success","data":[]}', headers), () => at + 58_000);
    await near.sources();
    expect(near.serverNow()).toBe(at + 58_000);
  });
});

test("numbers as Prometheus writes them", () => {
  expect(["1.5", "+Inf", "-Inf", "NaN", "", "1e3"].map(numberFrom)).toEqual([1.5, Infinity, -Infinity, Number.NaN, Number.NaN, 1000]);
});

test("results of every type become points in ms", () => {
  const metric = { a: "b" };
  expect(pointsFrom({ resultType: "vector", result: [{ metric, value: [1.5, "2"] }] })).toEqual([{ labels: metric, points: [[1500, 2]] }]);
  expect(pointsFrom({ resultType: "matrix", result: [{ metric, values: [[1, "2"], [2, "3"]] }] })).toEqual([{ labels: metric, points: [[1000, 2], [2000, 3]] }]);
  expect(pointsFrom({ resultType: "scalar", result: [1, "7"] })).toEqual([{ labels: {}, points: [[1000, 7]] }]);
  expect(pointsFrom({ resultType: "string", result: [1, "x"] })).toEqual([]);
});

test("selectors: classic names, others, none", () => {
  expect(selector("up", [])).toBe("up");
  expect(selector("up", ['a="b"'])).toBe('up{a="b"}');
  expect(selector("load.short", ['a="b"'])).toBe('{__name__="load.short",a="b"}');
  expect(selector(null, ['a="b"'])).toBe('{a="b"}');
  expect(equals("a", 'x"\\\ny')).toBe('a="x\\"\\\\\\ny"');
});
