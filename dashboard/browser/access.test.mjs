/** Every view in light, dark and on a phone: axe finds nothing, nothing scrolls sideways, keys work. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import axe from "axe-core";
import { drawn, open, SIZES } from "./harness.mjs";

let site;
let views;
before(async () => {
  site = await open();
  const agent = (await site.api("api/v1/sources")).find((one) => one.kind === "agent");
  views = ["/", "/alerts", "/checks", "/metrics", ...(agent ? [`/source/${encodeURIComponent(agent.name)}`] : [])];
});
after(() => site?.close());

const LOOKS = [
  { name: "light", scheme: "light", size: SIZES.desktop },
  { name: "dark", scheme: "dark", size: SIZES.desktop },
  { name: "phone, light", scheme: "light", size: SIZES.phone },
  { name: "phone, dark", scheme: "dark", size: SIZES.phone },
  { name: "320 px", scheme: "light", size: SIZES.narrow },
];

/** Opens what is closed, so that it is looked at as well. */
async function unfold(page) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  const pick = page.getByRole("button", { name: "Pick metrics" });
  if (await pick.count()) await pick.click();
}

/** Runs axe by the debugger's evaluation, which the page's CSP does not bind. */
async function faults(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

describe("accessibility", () => {
  for (const look of LOOKS) {
    test(look.name, async () => {
      for (const hash of views) {
        const { page, complaints, close } = await site.visit(hash, look);
        await page.locator('[data-live="open"]').waitFor();
        if (hash.startsWith("/source")) await drawn(page, "cpu");
        await unfold(page);
        assert.deepEqual(await faults(page), [], `axe on ${hash}`);
        const [wide, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
        assert.ok(wide <= shown, `${hash} is ${wide} px wide on ${shown} px`);
        assert.deepEqual(await complaints(), [], hash);
        await close();
      }
      const { page, close } = await site.visit("", { ...look, as: null });
      await page.getByLabel("Read key").waitFor();
      assert.deepEqual(await faults(page), [], "axe on the sign-in");
      await close();
    });
  }

  test("by keyboard alone: skip link, views, range, theme", async () => {
    const { page, close } = await site.visit(views.at(-1));
    await page.locator('[data-live="open"]').waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "content");
    if (views.at(-1).startsWith("/source")) {
      await page.getByRole("radio", { name: "15 minutes" }).focus();
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction(() => location.hash.includes("range=1h"));
    }
    const theme = page.getByRole("button", { name: /^Colours/ });
    await theme.focus();
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.getByRole("link", { name: "Checks" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Checks", level: 1 }).waitFor();
    await close();
  });
});
