/** All checks of all sources, worst first. */
import { useMemo, useState } from "preact/hooks";
import { CheckList } from "../components/CheckList";
import { useKnown } from "../page/context";
import { changeParams, type Route } from "../page/route";
import { countChecks, sortChecks, statusName, STATUS_NAMES } from "../store/derive";

const CHOICES = ["", "CRITICAL", "WARNING", "UNKNOWN", "OK"] as const;

export function ChecksView({ route }: { route: Route }) {
  const checks = useKnown((state) => state.checks.value);
  const waiting = useKnown((state) => state.checks.value === null && state.checks.error === null);
  const [text, setText] = useState("");
  const wanted = STATUS_NAMES.find((name) => name === route.params.state) ?? "";
  const counts = countChecks(checks ?? []);
  const shown = useMemo(
    () =>
      sortChecks(checks ?? []).filter(
        (check) =>
          (wanted === "" || statusName(check.status) === wanted) &&
          `${check.source} ${check.check} ${check.text}`.toLowerCase().includes(text.trim().toLowerCase()),
      ),
    [checks, wanted, text],
  );
  return (
    <>
      <div class="page-head">
        <h1>Checks</h1>
        <span class="end wide">
          <fieldset class="choice">
            <legend class="hidden-text">State</legend>
            {CHOICES.map((name) => (
              <label key={name}>
                <input type="radio" name="state" checked={name === wanted} onChange={() => location.replace(changeParams(route, { state: name || undefined }))} aria-label={name || "all"} />
                <span>
                  {name === "" ? "All" : <Short name={name} />} {name === "" ? (checks?.length ?? "") : counts[name]}
                </span>
              </label>
            ))}
          </fieldset>
        </span>
      </div>
      <label class="hidden-text" for="check-filter">
        Filter checks
      </label>
      <input id="check-filter" class="field" type="search" placeholder="Filter by source, name or text" value={text} onInput={(event) => setText(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      {waiting && <p class="soft">Loading…</p>}
      {checks !== null && shown.length === 0 && <p class="soft">{checks.length === 0 ? "No check has reported yet." : "No check matches."}</p>}
      {shown.length > 0 && <CheckList checks={shown} withSource />}
    </>
  );
}

/** The state's name, cut to what fits on a phone. */
function Short({ name }: { name: string }) {
  return (
    <>
      <span class="long-name">{name}</span>
      <span class="short-name" aria-hidden="true">
        {name.slice(0, 4)}
      </span>
    </>
  );
}
