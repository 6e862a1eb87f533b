/** One alert: what, where, since when, what its rule says about it. */
import type { Alert } from "../api/types";
import { formatValue } from "../format/units";
import { formatRoute } from "../page/route";
import { alertSource } from "../store/derive";
import { For } from "./Ago";
import { AlertBadge } from "./Badge";

const SAID_ELSEWHERE = new Set(["alertname", "source", "instance", "__name__"]);

/** An alert that started before this is not on a graph of the last 15 min as a whole, ms. */
const LONG_AGO_MS = 10 * 60_000;
/** Its graphs end this long after its start, ms. */
const AFTER_MS = 5 * 60_000;

export function AlertCard({ alert }: { alert: Alert }) {
  const { labels, annotations } = alert;
  const source = alertSource(alert);
  const text = annotations.summary ?? annotations.description ?? annotations.message;
  const more = annotations.summary ? annotations.description : undefined;
  const runbook = annotations.runbook_url ?? annotations.runbook;
  const sinceMs = Date.parse(alert.activeAt);
  return (
    <li class={`card alert ${alert.state === "firing" ? "firing" : "pending"}`} data-alert={labels.alertname}>
      <AlertBadge state={alert.state} />
      <div class="what">
        <span class="name">{labels.alertname ?? "alert without a name"}</span>
        {source !== null && (
          <a href={formatRoute("source", source)} class="nowrap">
            {source}
          </a>
        )}
      </div>
      <span class="since soft small">
        <For sinceMs={sinceMs} />
      </span>
      {text && <p class="text">{text}</p>}
      {more && <p class="text soft small"><Prose text={more} /></p>}
      {runbook && !isWebLink(runbook) && (
        <p class="text small">
          <strong>What to do:</strong> <Prose text={runbook} />
        </p>
      )}
      <p class="tags">
        <span class="tag">value {shortValue(alert.value)}</span>
        {Object.entries(labels)
          .filter(([name]) => !SAID_ELSEWHERE.has(name))
          .map(([name, value]) => (
            <span class="tag" key={name}>
              {name}={value}
            </span>
          ))}
        {source !== null && Date.now() - sinceMs > LONG_AGO_MS && (
          <a class="small" href={formatRoute("source", source, { at: String(sinceMs + AFTER_MS) })}>
            Graphs at its start
          </a>
        )}
        {runbook && isWebLink(runbook) && (
          <a class="small" href={runbook} rel="noreferrer noopener" target="_blank">
            Runbook
          </a>
        )}
      </p>
    </li>
  );
}

/** Text whose words between backticks are code; a last backtick without a partner stays one. */
function Prose({ text }: { text: string }) {
  const parts = text.split(/`([^`]*)`/);
  return <>{parts.map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part))}</>;
}

/** Annotations are written by whoever writes rules; only web addresses become links. */
export function isWebLink(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

function shortValue(text: string): string {
  const value = Number(text);
  if (!Number.isFinite(value)) return text;
  return Math.abs(value) < 100_000 ? String(Number(value.toPrecision(5))) : formatValue(value, "plain");
}
