/** How far back the graphs look. */
import { SPANS } from "../data/input";

export function RangePicker({ value, onChange }: { value: string; onChange: (id: string) => void }) {
  return (
    <fieldset class="choice">
      <legend class="hidden-text">Time range</legend>
      {SPANS.map((span) => (
        <label key={span.id}>
          <input type="radio" name="range" value={span.id} checked={span.id === value} onChange={() => onChange(span.id)} aria-label={span.label} />
          <span>{span.name}</span>
        </label>
      ))}
    </fieldset>
  );
}
