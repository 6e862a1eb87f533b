/** The page against any Daywatch: it opens, values move, an alert appears, nothing is complained about. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { drawn, open, PATIENCE_MS, texts } from "./harness.mjs";

let site;
before(async () => {
  site = await open();
});
after(() => site?.close());

/** A source whose graphs should move. */
async function liveSource() {
  if (process.env.DAYWATCH_SOURCE) return process.env.DAYWATCH_SOURCE;
  const sources = await site.api("api/v1/sources");
  const source = sources.find((one) => one.kind === "agent" && one.present);
  assert.ok(source, `no present agent among ${JSON.stringify(sources.map((one) => one.name))}`);
  return source.name;
}

test("a login link signs in, leaves the address bar, and holds after a reload", async () => {
  const { page, complaints, foreign, close } = await site.visit("/");
  await page.getByRole("navigation").waitFor();
  assert.ok(!page.url().includes("key="), page.url());
  await page.reload();
  await page.getByRole("navigation").waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Read key").waitFor();
  await page.reload();
  await page.getByLabel("Read key").waitFor();
  assert.deepEqual(await complaints(), []);
  assert.deepEqual(foreign, []);
  await close();
});

test("a pasted key signs in; a wrong one gets the server's words", async () => {
  const { page, close } = await site.visit("", { as: null });
  const field = page.getByLabel("Read key");
  const button = page.getByRole("button", { name: "Sign in" });
  await field.fill("hello");
  await button.click();
  await page.getByText("not a whole key").waitFor();
  await field.fill("dw_read_wrong_0000000000000000000000000000000000000000000");
  await button.click();
  await page.getByText("The server refuses this key").waitFor();
  await field.fill(site.key);
  await button.click();
  await page.getByRole("navigation").waitFor();
  await close();
});

test("the overview lists every source with its presence", async () => {
  const { page, complaints, close } = await site.visit("/");
  for (const source of await site.api("api/v1/sources")) {
    const row = page.locator(`[data-source="${source.name}"]`);
    await row.waitFor();
    if (source.kind === "agent") await row.getByText(source.present ? "present" : "absent", { exact: false }).first().waitFor();
  }
  assert.deepEqual(await complaints(), []);
  await close();
});

test("a value on a source's graphs moves, soon after its sample arrived", async () => {
  const { page, complaints, foreign, close } = await site.visit(`/source/${encodeURIComponent(await liveSource())}`);
  await page.locator('[data-live="open"]').waitFor();
  const graph = await drawn(page, "cpu");
  await graph.locator("[data-value]").first().waitFor();
  const delayMs = await page.evaluate(
    (patienceMs) =>
      new Promise((resolve, reject) => {
        const host = document.querySelector("[data-panel=cpu]");
        const values = () => [...host.querySelectorAll("[data-value]")].map((one) => one.textContent).join();
        const old = values();
        window.daywatchSamplesAt = undefined;
        const limit = setTimeout(() => reject(new Error(`no value moved within ${patienceMs} ms: ${old}`)), patienceMs);
        new MutationObserver((_, observer) => {
          if (values() === old || window.daywatchSamplesAt === undefined) return;
          observer.disconnect();
          clearTimeout(limit);
          resolve(performance.now() - window.daywatchSamplesAt);
        }).observe(host, { subtree: true, childList: true, characterData: true });
      }),
    PATIENCE_MS,
  );
  console.log(`# live sample to the text on the page: ${delayMs.toFixed(0)} ms`);
  assert.ok(delayMs < 1_000, `${delayMs} ms`);
  assert.deepEqual(await complaints(), []);
  assert.deepEqual(foreign.filter((url) => !url.startsWith("ws")), []);
  await close();
});

test("the banner says whether a pager is connected", async () => {
  const { page, close } = await site.visit("/");
  const { connected } = await site.api("api/v1/status/pager");
  await page.getByRole("heading", { name: "Overview" }).waitFor({ state: "attached" });
  await page.locator('[data-live="open"]').waitFor();
  const banner = page.getByText("No pager is connected: nobody will be woken");
  if (!connected) await banner.waitFor();
  else assert.equal(await banner.count(), 0);
  await close();
});

/** How an alert is made to fire here, and how that is undone; `null` where there is no way. */
function trips() {
  const command = process.env.DAYWATCH_TRIP;
  if (command) {
    let ended;
    const start = () => (ended = new Promise((resolve) => spawn(command, { shell: true, stdio: "inherit" }).once("exit", resolve)));
    return { start: () => void start(), stop: () => ended };
  }
  if (site.mock) return { start: () => site.mock.set({ tripped: true }), stop: () => site.mock.set({ tripped: false }) };
  const admin = process.env.DAYWATCH_ADMIN_KEY;
  if (!admin) return null;
  const rule = async (method, body) => {
    const url = new URL("api/v1/config/rules/browser-test", site.base);
    const answer = await fetch(url, { method, headers: { Authorization: `Bearer ${admin}` }, body });
    assert.ok(answer.ok, `${method} ${url}: ${answer.status} ${await answer.text()}`);
  };
  return { start: async () => rule("PUT", RULE(await liveSource())), stop: () => rule("DELETE") };
}

/** A rule that fires with the first evaluation. */
const RULE = (source) => `groups:
  - name: browser-test
    interval: 1s
    rules:
      - alert: BrowserTest
        expr: node_load1{source=${JSON.stringify(source)}} >= 0
        labels: { severity: warning }
        annotations: { summary: raised by the page's own test }
`;

test("an alert appears while the page is open", async (t) => {
  const trip = trips();
  if (trip === null) {
    t.skip("skipped: neither DAYWATCH_TRIP (a command) nor DAYWATCH_ADMIN_KEY is set, so no alert can be raised here");
    return;
  }
  const { page, complaints, close } = await site.visit("/");
  await page.locator('[data-live="open"]').waitFor();
  const known = await page.evaluate(() => [...document.querySelectorAll("[data-alert].firing")].map((one) => one.dataset.alert));
  const startMs = performance.now();
  try {
    await trip.start();
    await page.waitForFunction((names) => [...document.querySelectorAll("[data-alert].firing")].some((one) => !names.includes(one.dataset.alert)), known, { polling: 50 });
    console.log(`# alert on the page after ${(performance.now() - startMs).toFixed(0)} ms`);
    await page.waitForFunction(() => document.title.includes("firing"));
    assert.ok((await texts(page, "[data-announced]")).join("").includes("Firing"));
  } finally {
    await trip.stop();
  }
  await page.waitForFunction((count) => document.querySelectorAll("[data-alert].firing").length <= count, known.length);
  assert.deepEqual(await complaints(), []);
  await close();
});
