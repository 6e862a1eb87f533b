/**
 * The build. `base` is relative, since the page is served below prefixes that it does not know
 * (an API Gateway stage, a reverse proxy). Nothing is inlined: the page's CSP allows only files.
 */
import { defineConfig } from "vite";

const backend = process.env.DAYWATCH_URL ?? "http://127.0.0.1:9595";

export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: {
    proxy: { "/api": backend, "/ws": { target: backend.replace(/^http/, "ws"), ws: true } },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
