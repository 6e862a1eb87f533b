/**
 * Daywatch's page API with made-up data: for looking at the page and for its browser tests. It serves
 * the built page with the CSP of the real server, below a prefix, so that absolute URLs would show.
 */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { evaluate, parse } from "./promql.mjs";
import { World } from "./world.mjs";

export const KEY = "dw_read_mock_0123456789abcdefghijABCDEFGHIJ0123456789abc";
export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

export async function start({ port = 0, prefix = "/some/prefix", stepMs = 2_000 } = {}) {
  const world = new World();
  const stepS = stepMs / 1000;
  const raw = (series, fromS, toS) => {
    const out = [];
    for (let n = Math.floor(fromS / stepS) + 1; n * stepS <= toS; n += 1) {
      const t = n * stepS;
      if (world.has(series.labels.source, t)) out.push([t, series.value(t)]);
    }
    return out;
  };
  const series = () => (world.empty ? [] : world.all);
  const state = { world, down: false, noSocket: false };
  const http = createServer((request, response) => void answer(request, response).catch((cause) => fail(response, 500, "internal", String(cause))));
  const sockets = new WebSocketServer({ noServer: true });
  const tickets = new Set();

  const json = (response, status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  const ok = (response, data) => json(response, 200, { status: "success", data });
  const fail = (response, status, errorType, error) => json(response, status, { status: "error", errorType, error });

  async function answer(request, response) {
    const url = new URL(request.url, "http://mock");
    if (url.pathname === "/mock/set") return control(request, response);
    if (!url.pathname.startsWith(`${prefix}/`)) return fail(response, 404, "not_found", `nothing at ${url.pathname}`);
    const path = url.pathname.slice(prefix.length + 1);
    if (!path.startsWith("api/")) return file(response, path || "index.html");
    if (state.down) return fail(response, 503, "unavailable", "the store is away; try again");
    const auth = request.headers.authorization ?? "";
    if (auth !== `Bearer ${KEY}`) return fail(response, 401, "unauthorized", "no such key, or it was revoked");
    const now = Date.now();
    const q = url.searchParams;
    switch (path) {
      case "api/v1/sources": return ok(response, world.listSources(now));
      case "api/v1/checks": return ok(response, world.listChecks(now));
      case "api/v1/alerts": return ok(response, { alerts: world.listAlerts(now) });
      case "api/v1/rules": return ok(response, { groups: world.listRules() });
      case "api/v1/status/pager": return ok(response, world.pagerState(now));
      case "api/v1/series": {
        const node = parse(q.get("match[]"));
        return ok(response, series().filter((one) => node.matches(one.labels)).map((one) => one.labels));
      }
      case "api/v1/ticket": {
        const ticket = Math.random().toString(36).slice(2);
        tickets.add(ticket);
        return ok(response, { ticket, ws_url: `ws://${request.headers.host}${prefix}/ws`, expires_at_ms: now + 30_000 });
      }
      case "api/v1/query": return tried(response, () => instant(q.get("query"), Number(q.get("time"))));
      case "api/v1/query_range": return tried(response, () => range(q.get("query"), ...["start", "end", "step"].map((name) => Number(q.get(name)))));
      default: return fail(response, 404, "not_found", `nothing at ${path}`);
    }
  }

  function tried(response, action) {
    try {
      ok(response, action());
    } catch (cause) {
      fail(response, 400, "bad_data", String(cause.message ?? cause));
    }
  }

  function instant(query, t) {
    const node = parse(query);
    const text = ([s, value]) => [s, String(value)];
    if (node.kind === "selector" && node.rangeS > 0) {
      const result = series().filter((one) => node.matches(one.labels)).map((one) => ({ metric: one.labels, values: raw(one, t - node.rangeS, t).map(text) }));
      return { resultType: "matrix", result: result.filter((one) => one.values.length > 0) };
    }
    return { resultType: "vector", result: evaluate(node, t, series(), raw).map(({ labels, value }) => ({ metric: labels, value: [t, String(value)] })) };
  }

  function range(query, start, end, step) {
    const node = parse(query);
    const lines = new Map();
    for (let t = start; t <= end; t += step) {
      for (const { labels, value } of evaluate(node, t, series(), raw)) {
        const id = JSON.stringify(labels);
        const line = lines.get(id) ?? { metric: labels, values: [] };
        line.values.push([t, String(value)]);
        lines.set(id, line);
      }
    }
    return { resultType: "matrix", result: [...lines.values()] };
  }

  async function file(response, path) {
    const safe = normalize(path).replace(/^(\.\.[/\\])+/, "");
    try {
      const body = await readFile(join(DIST, safe));
      response.writeHead(200, { "content-type": TYPES[extname(safe)] ?? "application/octet-stream", "content-security-policy": CSP, "x-content-type-options": "nosniff" });
      response.end(body);
    } catch {
      fail(response, 404, "not_found", `no file ${safe}`);
    }
  }

  async function control(request, response) {
    let body = "";
    for await (const part of request) body += part;
    const { down, noSocket, ...wanted } = JSON.parse(body || "{}");
    Object.assign(world, wanted);
    if (down !== undefined) state.down = down;
    if (noSocket !== undefined) state.noSocket = noSocket;
    if (state.down || state.noSocket) for (const socket of sockets.clients) socket.terminate();
    tell({ kind: "alerts", alerts: world.listAlerts(Date.now()) });
    ok(response, {});
  }

  const tell = (frame) => {
    for (const socket of sockets.clients) socket.send(JSON.stringify(frame));
  };

  http.on("upgrade", (request, socket, head) => {
    const url = new URL(request.url, "http://mock");
    const ticket = url.searchParams.get("ticket");
    if (state.down || state.noSocket || url.pathname !== `${prefix}/ws` || !tickets.delete(ticket)) return socket.destroy();
    sockets.handleUpgrade(request, socket, head, (client) => welcome(client));
  });

  function welcome(client) {
    client.watching = new Map();
    client.on("message", (text) => {
      const frame = JSON.parse(text);
      try {
        if (frame.action === "subscribe") client.watching.set(frame.id, frame.match.map(parse));
        if (frame.action === "unsubscribe") client.watching.delete(frame.id);
      } catch (cause) {
        client.send(JSON.stringify({ kind: "error", id: frame.id, text: String(cause.message) }));
      }
    });
    client.send(JSON.stringify({ kind: "something_newer", of: ["a later version"] }));
  }

  let sentS = Math.floor(Date.now() / stepMs) * stepS;
  const pulse = setInterval(() => {
    const nowS = Date.now() / 1000;
    if (nowS < sentS + stepS) return;
    for (const client of sockets.clients) {
      for (const [id, nodes] of client.watching) {
        const found = series().filter((one) => nodes.some((node) => node.matches(one.labels)));
        const fresh = found.map((one) => ({ labels: one.labels, points: raw(one, sentS, nowS).map(([s, value]) => [Math.round(s * 1000), String(value)]) }));
        client.send(JSON.stringify({ kind: "samples", id, series: fresh.filter((one) => one.points.length > 0) }));
      }
    }
    sentS = Math.floor(nowS / stepS) * stepS;
  }, 200);

  await new Promise((resolve) => http.listen(port, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${http.address().port}`;
  const close = async () => {
    clearInterval(pulse);
    for (const client of sockets.clients) client.terminate();
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  };
  const set = (wanted) => fetch(`${origin}/mock/set`, { method: "POST", body: JSON.stringify(wanted) });
  return { url: `${origin}${prefix}/`, key: KEY, set, close };
}
