/** A share as a thin bar below its number. */

const HIGH = 80;
const FULL = 92;

export function Meter({ percent }: { percent: number }) {
  if (Number.isNaN(percent)) return null;
  const width = Math.max(0, Math.min(100, percent));
  const tone = percent >= FULL ? "full" : percent >= HIGH ? "high" : "";
  return (
    <svg class={`meter ${tone}`} viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="rail" width="100" height="4" rx="2" />
      <rect class="fill" width={width} height="4" rx="2" />
    </svg>
  );
}
