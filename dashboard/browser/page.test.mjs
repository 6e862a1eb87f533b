/** The page against any Daywatch: it opens, values move, an alert appears, nothing is complained about. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { open, PATIENCE_MS, texts } from "./harness.mjs";

let site;
before(async () => {
  site = await open();
});
after(() => site?.close());

/** A source whose graphs should move. */
async function liveSource() {
  const wanted = process.env.DAYWATCH_SOURCE;
  const sources = await site.api("api/v1/sources");
  const source = sources.find((one) => (wanted ? one.name === wanted : one.kind === "agent" && one.present));
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
  await page.locator("[data-panel=cpu] [data-value]").first().waitFor();
  assert.ok((await page.locator("[data-panel=cpu] canvas").count()) > 0);
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

test("an alert appears while the page is open", async (t) => {
  const trip = process.env.DAYWATCH_TRIP;
  if (!site.mock && !trip) {
    t.skip("skipped: DAYWATCH_TRIP is not set to a command that trips an alert on this server");
    return;
  }
  const { page, complaints, close } = await site.visit("/");
  await page.locator('[data-live="open"]').waitFor();
  const before = await page.evaluate(() => [...document.querySelectorAll("[data-alert]")].map((one) => one.dataset.alert));
  const startMs = performance.now();
  const child = trip ? spawn(trip, { shell: true, stdio: "inherit" }) : null;
  if (!trip) await site.mock.set({ tripped: true });
  await page.waitForFunction((known) => [...document.querySelectorAll("[data-alert].firing")].some((one) => !known.includes(one.dataset.alert)), before, { polling: 50 });
  console.log(`# alert on the page after ${(performance.now() - startMs).toFixed(0)} ms`);
  await page.waitForFunction(() => document.title.includes("firing"));
  assert.ok((await texts(page, "[data-announced]")).join("").includes("Firing"));
  assert.deepEqual(await complaints(), []);
  if (child && child.exitCode === null) await new Promise((resolve) => child.once("exit", resolve));
  await site.mock?.set({ tripped: false });
  await close();
});
