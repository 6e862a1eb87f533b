/** A time as its distance from now, with the moment itself in the title. */
import { formatAgo, formatMoment, formatSpan } from "../format/time";
import { useNow } from "../page/context";

export function Ago({ atMs }: { atMs: number }) {
  const now = useNow();
  if (atMs <= 0) return <span>never</span>;
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatMoment(atMs)}>
      {formatAgo(atMs, now)}
    </time>
  );
}

export function For({ sinceMs }: { sinceMs: number }) {
  const now = useNow();
  if (!(sinceMs > 0)) return <span>since the start</span>;
  return (
    <time dateTime={new Date(sinceMs).toISOString()} title={`since ${formatMoment(sinceMs)}`}>
      for {formatSpan(now - sinceMs)}
    </time>
  );
}
