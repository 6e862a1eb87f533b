/** Check results, worst first; each opens to its whole output and performance data. */
import { useMemo, useState } from "preact/hooks";
import type { Check, PerfItem } from "../api/types";
import { formatRoute } from "../page/route";
import { For, Ago } from "./Ago";
import { SPANS } from "../data/input";
import { checkPanels } from "../panels/check";
import { StatusBadge } from "./Badge";
import { GraphCard } from "./GraphCard";

export function CheckList({ checks, withSource }: { checks: Check[]; withSource: boolean }) {
  return (
    <ul class="card checks">
      {checks.map((check) => (
        <li key={`${check.source}\n${check.check}`} class="check-item">
          <CheckRow check={check} withSource={withSource} />
        </li>
      ))}
    </ul>
  );
}

function CheckRow({ check, withSource }: { check: Check; withSource: boolean }) {
  const first = check.text.split("\n", 1)[0] ?? "";
  const [open, setOpen] = useState(false);
  return (
    <details class="check" data-check={check.check} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span>
          <StatusBadge status={check.status} />
        </span>
        <span class="name">
          {withSource && <span class="soft">{check.source} / </span>}
          {check.check}
        </span>
        <span class="text">{first}</span>
        <span class="since">
          {!check.hard && <span class="soft">soft · </span>}
          <For sinceMs={check.state_since_ms} />
        </span>
      </summary>
      <div class="more">
        <pre class="output">{check.text || "(no output)"}</pre>
        <p class="small soft">
          {check.hard ? "The state is hard." : "The state is soft: fewer runs in a row than `attempts` asks for."}
          {check.at_ms !== undefined && (
            <>
              {" Last result "}
              <Ago atMs={check.at_ms} />.
            </>
          )}
          {withSource && (
            <>
              {" "}
              <a href={formatRoute("source", check.source)}>Graphs of {check.source}</a>
            </>
          )}
        </p>
        {check.perfdata && check.perfdata.length > 0 && <Perfdata items={check.perfdata} />}
        {open && <CheckGraphs check={check} />}
      </div>
    </details>
  );
}

const HOUR = SPANS[1]!;

function CheckGraphs({ check }: { check: Check }) {
  const shape = JSON.stringify([check.source, check.check, check.perfdata?.map((item) => [item.unit, item.value === null])]);
  const panels = useMemo(() => checkPanels(check), [shape]);
  if (panels.length === 0) return null;
  return (
    <div class="graphs">
      {panels.map((panel) => (
        <GraphCard key={panel.id} panel={panel} span={HOUR.span} rangeLabel={HOUR.label} atMs={null} heading={false} />
      ))}
    </div>
  );
}

function Perfdata({ items }: { items: PerfItem[] }) {
  const bound = (value: number | null): string => (value === null ? "" : String(value));
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Performance data">
      <table>
        <thead>
          <tr>
            <th scope="col">value of</th>
            <th scope="col" class="number">now</th>
            <th scope="col">warning</th>
            <th scope="col">critical</th>
            <th scope="col" class="number">min</th>
            <th scope="col" class="number">max</th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={item.label}>
              <th scope="row">{item.label}</th>
              <td class="number">{item.value === null ? "unknown" : `${item.value}${item.unit}`}</td>
              <td>{item.warn}</td>
              <td>{item.crit}</td>
              <td class="number">{bound(item.min)}</td>
              <td class="number">{bound(item.max)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
