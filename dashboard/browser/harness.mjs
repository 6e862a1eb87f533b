/**
 * A Chromium and a Daywatch for the browser tests. `DAYWATCH_URL` and `DAYWATCH_KEY` name a running
 * server; without them the mock server is started. `CHROMIUM` is the browser's path.
 */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { start } from "../mock/server.mjs";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** The longest that a test waits for anything, ms. Host metrics come every 10 s. */
export const PATIENCE_MS = 30_000;

export const SIZES = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 }, narrow: { width: 320, height: 640 } };

/** `mockOnly`: whatever the environment says. */
export async function open({ mockOnly = false } = {}) {
  const path = process.env.CHROMIUM ?? "/usr/bin/chromium";
  if (!existsSync(path)) throw new Error(`no browser at ${path}: install chromium, or set CHROMIUM`);
  if (!existsSync(new URL("../dist/index.html", import.meta.url))) throw new Error("the page is not built: npm run build");
  const given = mockOnly ? undefined : process.env.DAYWATCH_URL;
  const mock = given ? null : await start({ stepMs: 1_000 });
  const base = (given ?? mock.url).replace(/\/*$/, "/");
  const key = given ? process.env.DAYWATCH_KEY : mock.key;
  if (!key) throw new Error("DAYWATCH_URL is set, DAYWATCH_KEY is not");
  const browser = await chromium.launch({ executablePath: path, headless: true, args: FLAGS });
  return {
    base,
    key,
    mock,
    /** The server's data at a path of the API. */
    api: async (route) => {
      const answer = await fetch(new URL(route, base), { headers: { Authorization: `Bearer ${key}` } });
      const body = await answer.json();
      if (body.status !== "success") throw new Error(`${route}: ${answer.status} ${JSON.stringify(body)}`);
      return body.data;
    },
    visit: (hash, look = {}) => visit(browser, base, key, hash, look),
    close: async () => {
      await browser.close();
      await mock?.close();
    },
  };
}

/** Opens the page signed in at `hash`; `key: null` opens it as a stranger. */
async function visit(browser, base, key, hash, { size = SIZES.desktop, scheme = "light", as = key } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: scheme, reducedMotion: "reduce" });
  const page = await context.newPage();
  const complaints = [];
  const foreign = [];
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith("data:")) foreign.push(request.url());
  });
  await context.addInitScript(watch);
  const go = hash.startsWith("#") ? hash.slice(1) : hash;
  await page.goto(as === null ? base + hash : `${base}#key=${as}&go=${encodeURIComponent(go)}`);
  return {
    page,
    /** What the browser complained about, CSP violations included. */
    complaints: async () => [...complaints, ...(await page.evaluate(() => window.daywatchViolations))],
    /** Requests that went elsewhere than below the page's own address. */
    foreign,
    close: () => context.close(),
  };
}

/** Runs in the page before its own code: notes CSP violations, and when live samples came. */
function watch() {
  window.daywatchViolations = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    window.daywatchViolations.push(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
  });
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", (event) => {
        if (String(event.data).includes('"samples"')) window.daywatchSamplesAt = performance.now();
      });
    }
  };
}

/** Everything that the selector finds, as text. */
export const texts = (page, selector) => page.locator(selector).allInnerTexts();

/** A graph is drawn when it comes near the window: what stands above it (alerts) may push it far down. */
export async function drawn(page, panel) {
  const graph = page.locator(`[data-panel="${panel}"]`);
  await graph.scrollIntoViewIfNeeded();
  await graph.locator("canvas").waitFor();
  return graph;
}
