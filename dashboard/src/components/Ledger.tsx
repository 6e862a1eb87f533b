/** Where every sample of a source went. The sum is shown, so that a hole would be seen. */
import type { Counters } from "../api/types";
import { formatCount } from "../format/units";
import { missing, rejectedTotal } from "../store/derive";

const MEANING: readonly [keyof Omit<Counters, "rejected" | "generated" | "missing">, string][] = [
  ["stored", "kept and queryable"],
  ["superseded", "same series and time as another sample, which won"],
  ["buffered", "in the source's buffer, not acknowledged yet"],
  ["evicted", "thrown out of the source's full buffer: lost"],
];

export function Ledger({ counters }: { counters: Counters }) {
  const rejected = Object.entries(counters.rejected ?? {}).sort((a, b) => b[1] - a[1]);
  const rest = missing(counters);
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Ledger">
      <table>
        <thead>
          <tr>
            <th scope="col">samples</th>
            <th scope="col" class="number">count</th>
            <th scope="col">meaning</th>
          </tr>
        </thead>
        <tbody>
          <Row name="generated" count={counters.generated} meaning="came into being at the source" />
          {MEANING.map(([name, meaning]) => (
            <Row key={name} name={name} count={counters[name]} meaning={meaning} />
          ))}
          <Row name="rejected" count={rejectedTotal(counters)} meaning={rejected.length === 0 ? "refused, with a reason" : "refused, by reason:"} />
          {rejected.map(([reason, count]) => (
            <Row key={reason} name={`· ${reason}`} count={count} meaning="" />
          ))}
          <Row name="missing" count={rest} meaning="on the way to the store; what stays here for minutes is a fault of Daywatch" />
        </tbody>
      </table>
    </div>
  );
}

function Row({ name, count, meaning }: { name: string; count: number; meaning: string }) {
  return (
    <tr>
      <th scope="row" class="nowrap">
        {name}
      </th>
      <td class="number" data-count={name}>
        {formatCount(count)}
      </td>
      <td class="soft">{meaning}</td>
    </tr>
  );
}
