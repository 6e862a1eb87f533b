/** Firing and pending alerts, the rules behind them, and who is told. */
import { useMemo } from "preact/hooks";
import type { Receiver, RuleGroup, Rule } from "../api/types";
import { Ago } from "../components/Ago";
import { AlertCard } from "../components/AlertCard";
import { Icon } from "../components/Icon";
import { formatSpan } from "../format/time";
import { useKnown } from "../page/context";
import { alertKey, sortAlerts } from "../store/derive";

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
      {pager !== null && pager.receivers.length > 0 && <Receivers receivers={pager.receivers} />}
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
