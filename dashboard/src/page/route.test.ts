import { expect, test } from "vitest";
import { shapeProblem } from "../views/SignIn";
import { pickedFrom, PICKED_MAX } from "../views/MetricGraphs";
import { changeParams, formatRoute, keyFromHash, parseRoute } from "./route";

test("routes survive being written and read, whatever the source's name", () => {
  for (const name of ["web-1", "a b/c?d#e", "ü%", "100%"]) {
    expect(parseRoute(formatRoute("source", name, { range: "1h" }))).toEqual({ view: "source", name, params: { range: "1h" } });
  }
});

test("anything unknown is the overview", () => {
  for (const hash of ["", "#", "#/", "#/nothing", "#/source", "#x"]) expect(parseRoute(hash).view).toBe("overview");
  expect(parseRoute("#/source/%E0%A4%A").name).toBe("%E0%A4%A");
});

test("a setting is changed or removed, the others stay", () => {
  const route = parseRoute("#/source/a?range=1h&metrics=x");
  expect(changeParams(route, { range: "6h" })).toBe("#/source/a?range=6h&metrics=x");
  expect(changeParams(route, { range: undefined })).toBe("#/source/a?metrics=x");
});

test("a sign-in link gives the key and where to go on", () => {
  expect(keyFromHash("#key=dw_read_a_b")).toEqual({ key: "dw_read_a_b", rest: "#/" });
  expect(keyFromHash("#/key=dw_read_a_b&go=%2Fsource%2Fx")).toEqual({ key: "dw_read_a_b", rest: "#/source/x" });
  expect(keyFromHash("#/alerts?key=1")).toBeNull();
});

test("what is wrong with a key is said before the server is asked", () => {
  expect(shapeProblem("dw_read_abc_def")).toBeNull();
  expect(shapeProblem("dw_admin_abc_def")).toBeNull();
  expect(shapeProblem("")).toMatch(/first/);
  expect(shapeProblem("dw_read_abc")).toMatch(/whole key/);
  expect(shapeProblem("dw_agent_abc_def")).toMatch(/agent/);
});

test("picked metrics: commas inside names, doubles, the limit and one past it", () => {
  expect(pickedFrom("a,b%2Cc,a,")).toEqual(["a", "b,c"]);
  const names = Array.from({ length: PICKED_MAX + 1 }, (_, i) => `m${i}`);
  expect(pickedFrom(names.slice(1).join(",")).length).toBe(PICKED_MAX);
  expect(pickedFrom(names.join(",")).length).toBe(PICKED_MAX);
});
