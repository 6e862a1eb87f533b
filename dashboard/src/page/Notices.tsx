/** What stands between the reader and the truth: no pager, no connection, failed requests. */
import { Notice } from "../components/Notice";
import { formatAgo, formatSpan } from "../format/time";
import { failing, silence } from "../store/pager";
import type { State } from "../store/state";
import { usePage, useKnown, useNow } from "./context";

/** Answers over HTTP that are this fresh show that only the websocket is lost, ms. */
const HEARD_MS = 12_000;

export function Notices() {
  return (
    <div class="notices">
      <PagerNotice />
      <ConnectionNotice />
      <FailureNotice />
      <LiveErrorNotice />
    </div>
  );
}

function PagerNotice() {
  const pager = useKnown((state) => state.pager.value);
  if (pager === null) return null;
  const silent = silence(pager);
  if (silent !== null) {
    return (
      <Notice tone="alarm">
        <strong>No pager is connected: nobody will be woken</strong>
        {silent.causes.map((cause) => (
          <div key={cause}>{cause}</div>
        ))}
        <div class="small">
          {silent.todo} <code>{silent.command}</code>.
        </div>
      </Notice>
    );
  }
  const failed = failing(pager);
  if (failed.length === 0) return null;
  return (
    <Notice tone="crit">
      {failed.map((one) => (
        <div key={one.name + one.to}>
          <strong>{one.name}</strong> did not take its last notification: {one.answer || "no answer"}
        </div>
      ))}
    </Notice>
  );
}

function ConnectionNotice() {
  const connection = useKnown((state) => state.connection);
  const failing = useKnown((state) => state.sources.error !== null);
  useNow();
  const now = Date.now();
  if (connection.lostAtMs === 0) return null;
  const waitMs = connection.retryAtMs - now;
  return (
    <Notice tone="warn">
      <strong>Connection lost, reconnecting</strong>
      {connection.text && `: ${connection.text}`}.{" "}
      {connection.kind === "lost" && waitMs > 1000 ? `Next try in ${formatSpan(waitMs)}. ` : ""}
      {!failing && now - connection.heardAtMs < HEARD_MS
        ? "Until then lists and graphs are asked for over HTTP, less often."
        : `Last update ${formatAgo(connection.heardAtMs, now)}: what you see may be out of date.`}
    </Notice>
  );
}

const AREAS = { sources: "Sources", checks: "Checks", alerts: "Alerts", pager: "Pager state", rules: "Rules" } as const;

function FailureNotice() {
  const failures = useKnown(failureText);
  if (failures === "") return null;
  return (
    <Notice tone="crit">
      {failures.split("\n").map((line) => (
        <div key={line}>{line}</div>
      ))}
    </Notice>
  );
}

/** One line for each different error, as text, so that equal states compare equal. */
function failureText(state: State): string {
  const byError = new Map<string, string[]>();
  for (const area of Object.keys(AREAS) as (keyof typeof AREAS)[]) {
    const { error, value } = state[area];
    if (error === null) continue;
    const name = `${AREAS[area]}${value === null ? "" : " (shown as last known)"}`;
    byError.set(error, [...(byError.get(error) ?? []), name]);
  }
  return [...byError].map(([error, names]) => `${names.join(", ")}: ${error}`).join("\n");
}

function LiveErrorNotice() {
  const { store } = usePage();
  const errors = useKnown((state) => state.liveErrors);
  if (errors.length === 0) return null;
  return (
    <Notice tone="warn" onDismiss={() => store.send({ type: "dismiss_live_errors" })}>
      {errors.map((text) => (
        <div key={text}>Live updates: {text}</div>
      ))}
    </Notice>
  );
}
