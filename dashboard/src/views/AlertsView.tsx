/** Firing and pending alerts, the rules behind them, and who is told. */
import { useMemo } from "preact/hooks";
import type { Receiver, RuleGroup, Rule, Subscriber, Undelivered } from "../api/types";
import { Ago } from "../components/Ago";
import { AlertCard } from "../components/AlertCard";
import { Icon } from "../components/Icon";
import { formatSpan } from "../format/time";
import { useKnown, useNow } from "../page/context";
import { alertKey, sortAlerts } from "../store/derive";
import { about, lastAnswer, sortSubscribers, undelivered } from "../store/pager";

export function AlertsView() {
  const alerts = useKnown((state) => state.alerts.value);
  const waiting = useKnown((state) => state.alerts.value === null && state.alerts.error === null);
  const groups = useKnown((state) => state.rules.value);
  const pager = useKnown((state) => state.pager.value);
  const sorted = useMemo(() => sortAlerts(alerts ?? []), [alerts]);
  return (
    <>
      <div class="page-head">
        <h1>Alerts</h1>
      </div>
      {waiting && <p class="soft">Loading…</p>}
      {alerts !== null && sorted.length === 0 && (
        <div class="card calm">
          <Icon name="ok" size={18} />
          <span>No alert is firing or pending.</span>
        </div>
      )}
      {sorted.length > 0 && (
        <ul class="alerts" aria-label="Firing and pending alerts">
          {sorted.map((alert) => (
            <AlertCard key={alertKey(alert)} alert={alert} />
          ))}
        </ul>
      )}
      {pager !== null && <NotDelivered list={undelivered(pager)} />}
      {pager !== null && pager.receivers.length > 0 && <Receivers receivers={pager.receivers} />}
      {pager !== null && pager.topics && <Subscriptions subscribers={pager.subscribers ?? []} error={pager.subscribers_error ?? null} />}
      {groups !== null && <Rules groups={groups} />}
    </>
  );
}

function Receivers({ receivers }: { receivers: Receiver[] }) {
  return (
    <section class="section" aria-labelledby="receivers">
      <h2 id="receivers">Receivers</h2>
      <div class="card padded scroll" tabIndex={0} role="group" aria-label="Receivers">
        <table>
          <thead>
            <tr>
              <th scope="col">name</th>
              <th scope="col">to</th>
              <th scope="col">last notification</th>
              <th scope="col">answer</th>
            </tr>
          </thead>
          <tbody>
            {receivers.map((one) => (
              <tr key={one.name + one.to}>
                <th scope="row">{one.name}</th>
                <td class="mono">{one.to}</td>
                <td class="nowrap">{one.at_ms > 0 ? <Ago atMs={one.at_ms} /> : "none yet"}</td>
                <td>
                  {one.at_ms > 0 && (
                    <span class={`badge ${one.delivered ? "is-ok" : "is-critical"}`}>
                      <Icon name={one.delivered ? "ok" : "critical"} size={13} />
                      {one.delivered ? "delivered" : "failed"}
                    </span>
                  )}{" "}
                  {one.answer}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function NotDelivered({ list }: { list: Undelivered[] }) {
  useNow();
  if (list.length === 0) return null;
  return (
    <section class="section" aria-labelledby="not-delivered">
      <h2 id="not-delivered">Not delivered</h2>
      <div class="card padded">
        {list.map((one) => (
          <div key={one.receiver + one.to + about(one)}>
            <span class="badge is-critical">
              <Icon name="critical" size={13} />
              {one.gave_up ? "gave up" : `tried ${one.attempts.length}×`}
            </span>{" "}
            <strong>{about(one)}</strong> to {one.receiver} (<span class="mono">{one.to}</span>): {lastAnswer(one)}.{" "}
            <span class="soft">{one.gave_up ? "It is told with the alert's next change." : next(one.due_at_ms)}</span>
          </div>
        ))}
      </div>
    </section>
  );
}

function next(dueAtMs: number | null): string {
  const waitMs = (dueAtMs ?? 0) - Date.now();
  return waitMs > 1000 ? `Next try in ${formatSpan(waitMs)}.` : "Tried again now.";
}

const TOPICS = { pager: "pager: wakes people", mail: "mail: tells people" } as const;

function Subscriptions({ subscribers, error }: { subscribers: Subscriber[]; error: string | null }) {
  return (
    <section class="section" aria-labelledby="subscriptions">
      <h2 id="subscriptions">Subscriptions</h2>
      {error !== null && <p class="soft">Who is subscribed cannot be read: {error}</p>}
      {error === null && subscribers.length === 0 && <p class="soft">Nobody is subscribed to the pager or the mail topic.</p>}
      {subscribers.length > 0 && (
        <div class="card padded scroll" tabIndex={0} role="group" aria-label="Subscriptions">
          <table>
            <thead>
              <tr>
                <th scope="col">topic</th>
                <th scope="col">by</th>
                <th scope="col">to</th>
                <th scope="col">state</th>
              </tr>
            </thead>
            <tbody>
              {sortSubscribers(subscribers).map((one, index) => (
                <tr key={index}>
                  <th scope="row">{TOPICS[one.destination]}</th>
                  <td>{one.protocol}</td>
                  <td class="mono">{one.endpoint}</td>
                  <td>
                    <span class={`badge ${one.confirmed ? "is-ok" : "is-pending"}`}>
                      <Icon name={one.confirmed ? "ok" : "pending"} size={13} />
                      {one.confirmed ? "confirmed" : "waits to be confirmed"}
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Rules({ groups }: { groups: RuleGroup[] }) {
  return (
    <section class="section" aria-labelledby="rules">
      <h2 id="rules">Rules</h2>
      {groups.length === 0 && (
        <p class="soft">
          No rule is loaded, so nothing can fire. Load some with <code>daywatch apply -f rules.yml</code>.
        </p>
      )}
      {groups.map((group) => (
        <details class="card padded" key={`${group.file} ${group.name}`} open={group.rules.some((rule) => Boolean(rule.lastError))}>
          <summary>
            <h3 class="in-summary">{group.name}</h3>{" "}
            <span class="soft small">
              {group.rules.length} {group.rules.length === 1 ? "rule" : "rules"}, every {formatSpan(group.interval * 1000)}
              {group.file && ` · ${group.file}`}
            </span>
          </summary>
          <ul class="rules">
            {group.rules.map((rule) => (
              <RuleRow key={rule.name + rule.query} rule={rule} />
            ))}
          </ul>
        </details>
      ))}
    </section>
  );
}

function RuleRow({ rule }: { rule: Rule }) {
  return (
    <li>
      <p class="row">
        <strong>{rule.name}</strong>
        {rule.state && rule.state !== "inactive" && <span class={`badge ${rule.state === "firing" ? "is-firing" : "is-pending"}`}>{rule.state.toUpperCase()}</span>}
        {rule.duration ? <span class="soft small">for {formatSpan(rule.duration * 1000)}</span> : null}
      </p>
      <code class="rule-query">{rule.query}</code>
      {rule.lastError && (
        <p class="source-warning conflict">
          <Icon name="critical" size={14} />
          <span>{rule.lastError}</span>
        </p>
      )}
    </li>
  );
}
