/** What only the mock server can be told to do: fail, go away, be empty. A real server is not asked for here. */
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { drawn, open, texts } from "./harness.mjs";

let site;
before(async () => {
  site = await open({ mockOnly: true });
});
after(() => site?.close());

beforeEach(() => site.mock.set({ down: false, noSocket: false, empty: false, pager: false, topics: false, tripped: false }));

test("a lost websocket is said, retried, and the gap is filled over HTTP", async () => {
  const { page, close } = await site.visit("/source/web-2");
  await page.locator('[data-live="open"]').waitFor();
  await page.locator("[data-panel=load] [data-value]").first().waitFor();
  await site.mock.set({ noSocket: true });
  await page.getByText("Connection lost, reconnecting").waitFor();
  const asked = [];
  page.on("request", (request) => request.url().includes("query_range") && asked.push(request.url()));
  await site.mock.set({ noSocket: false });
  await page.locator('[data-live="open"]').waitFor();
  await page.getByText("Connection lost").waitFor({ state: "detached" });
  await page.waitForFunction(() => window.daywatchSamplesAt !== undefined);
  assert.ok(asked.length > 0, "no history was asked for after the gap");
  await close();
});

test("a failing server is quoted, and the last known state stays", async () => {
  const { page, close } = await site.visit("/");
  await page.locator('[data-source="web-1"]').waitFor();
  await site.mock.set({ down: true });
  await page.getByText("the store is away; try again").first().waitFor();
  await page.getByText("shown as last known").waitFor();
  assert.ok((await page.locator('[data-source="web-1"]').count()) === 1);
  await site.mock.set({ down: false });
  await page.getByText("the store is away").first().waitFor({ state: "detached" });
  await close();
});

test("a graph that cannot be computed says why", async () => {
  const { page, close } = await site.visit("/source/web-1");
  await page.route("**/api/v1/query_range*", (route) =>
    route.fulfill({ status: 422, contentType: "application/json", body: '{"status":"error","errorType":"execution","error":"the query selects more than 10000 series"}' }),
  );
  await page.reload();
  await page.locator("[data-panel=cpu]").getByText("the query selects more than 10000 series").waitFor();
  await close();
});

test("without a source, the page says how to connect one", async () => {
  await site.mock.set({ empty: true });
  const { page, complaints, close } = await site.visit("/");
  await page.getByText("daywatch keys create --kind agent").waitFor();
  await page.getByText("daywatch-agent --config agent.toml").waitFor();
  await site.mock.set({ empty: false });
  await page.locator('[data-source="web-1"]').waitFor();
  assert.deepEqual(await complaints(), []);
  await close();
});

test("conflicts, rejections and losses are named; the ledger adds up", async () => {
  const { page, close } = await site.visit("/");
  await page.getByText("an agent on host db-1-clone also calls itself db-1").waitFor();
  await page.getByText("graphite: bad value 12").waitFor();
  await page.locator('[data-source="web-2"] a').click();
  await page.getByText("Ledger").first().click();
  const number = async (name) => Number((await texts(page, `[data-count="${name}"]`))[0].replace(/\D/g, ""));
  const parts = await Promise.all(["stored", "superseded", "buffered", "evicted", "rejected", "missing"].map(number));
  assert.equal(parts.reduce((a, b) => a + b, 0), await number("generated"));
  await close();
});

test("a picked metric is drawn, stays in the address, and can be removed", async () => {
  const { page, complaints, close } = await site.visit("/source/web-1");
  await page.getByRole("button", { name: "Pick metrics" }).click();
  await page.getByLabel("Filter metrics").fill("nginx rate");
  await page.getByRole("checkbox").first().check();
  const graph = page.locator('[data-panel="metric nginx.requests.rate"]');
  await graph.scrollIntoViewIfNeeded();
  await graph.locator("canvas").waitFor();
  await page.reload();
  await graph.scrollIntoViewIfNeeded();
  await graph.locator("canvas").waitFor();
  await page.getByRole("button", { name: "Remove the graph of nginx.requests.rate" }).click();
  await page.locator('[data-panel="metric nginx.requests.rate"]').waitFor({ state: "detached" });
  assert.deepEqual(await complaints(), []);
  await close();
});

test("a minute in the past stands still until told otherwise", async () => {
  const { page, close } = await site.visit(`/source/web-2?at=${Date.now() - 3_600_000}`);
  await page.getByText("stand still").waitFor();
  await drawn(page, "cpu");
  await page.getByRole("link", { name: "Back to the present" }).click();
  await page.getByText("stand still").waitFor({ state: "detached" });
  await close();
});

test("the cursor stands at one time on all graphs", async () => {
  const { page, close } = await site.visit("/source/web-2");
  await drawn(page, "load");
  await drawn(page, "cpu");
  await page.locator("[data-panel=cpu] .u-over").hover();
  const clock = /\d\d:\d\d:\d\d/;
  const shown = async (id) => clock.exec((await texts(page, `[data-panel=${id}] .graph-head`))[0])?.[0];
  await page.waitForFunction(() => /\d\d:\d\d:\d\d/.test(document.querySelector("[data-panel=load] .graph-head").textContent));
  assert.equal(await shown("cpu"), await shown("load"));
  await close();
});

test("with topics the page says who has confirmed, and what was given up", async () => {
  await site.mock.set({ topics: true });
  const { page, close } = await site.visit("/alerts");
  const banner = page.getByText("No pager is connected: nobody will be woken");
  await banner.waitFor();
  await page.getByText("https://events.pager.example.net/… (https) waits to be confirmed there").waitFor();
  const states = () => texts(page, "[aria-label=Subscriptions] tbody .badge");
  assert.deepEqual(await states(), ["waits to be confirmed", "confirmed"]);
  await page.getByText("gave up").waitFor();
  await site.mock.set({ pager: true });
  await page.reload();
  await page.getByRole("group", { name: "Subscriptions" }).waitFor();
  assert.deepEqual([await states(), await banner.count()], [["confirmed", "confirmed"], 0]);
  await close();
});
