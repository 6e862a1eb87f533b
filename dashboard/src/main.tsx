/** Starts the page: takes a key out of the address before anything else, then draws. */
import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/parts.css";
import "./style/graph.css";
import { App } from "./page/App";
import { applyTheme, keepKey, keptTheme } from "./page/keep";
import { keyFromHash } from "./page/route";

/** The key leaves the address bar and the history at once, so that it is not copied along. */
function takeKey(): void {
  const found = keyFromHash(location.hash);
  if (!found) return;
  keepKey(found.key, true);
  history.replaceState(null, "", found.rest);
  window.dispatchEvent(new Event("daywatch-key"));
  window.dispatchEvent(new Event("hashchange"));
}

applyTheme(keptTheme());
takeKey();
window.addEventListener("hashchange", takeKey);
const host = document.getElementById("page");
if (host) render(<App />, host);
