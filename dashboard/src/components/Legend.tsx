/** Names and values of a graph's lines; a press hides or shows one. */
import { formatValue, type Unit } from "../format/units";
import { lastOf, type Line } from "../panels/panel";
import { gapLimit } from "../data/align";
import { valueAt } from "../data/points";
import { COLOUR_SLOTS } from "./chartOptions";

interface Props {
  lines: Line[];
  unit: Unit;
  stepMs: number;
  /** The newest values are old. */
  late: boolean;
  /** The time under the cursor; `null` shows the newest values. */
  cursorMs: number | null;
  hidden: ReadonlySet<string>;
  onToggle: (name: string) => void;
}

export function Legend({ lines, unit, stepMs, late, cursorMs, hidden, onToggle }: Props) {
  return (
    <ul class={`legend ${late && cursorMs === null ? "late" : ""}`}>
      {lines.map((line, i) => {
        const value = cursorMs === null ? lastOf(line) : valueAt(line.points, cursorMs, gapLimit(line.points, stepMs));
        return (
          <li key={line.name}>
            <button type="button" class="entry" aria-pressed={!hidden.has(line.name)} onClick={() => onToggle(line.name)} title={hidden.has(line.name) ? "Show this line" : "Hide this line"}>
              <span class={`swatch c${(line.slot ?? i) % COLOUR_SLOTS}`} />
              <span class="name">{line.name}</span>
              <span class="value" data-value={line.name}>
                {formatValue(value, unit)}
              </span>
            </button>
          </li>
        );
      })}
    </ul>
  );
}
