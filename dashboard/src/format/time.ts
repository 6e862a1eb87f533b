/** Times for people. */

/** `just now`, `12 s`, `4 min`, `3 h 20 min`, `2 d 4 h`: two parts at most. */
export function formatSpan(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}

export function formatAgo(atMs: number, nowMs: number): string {
  if (atMs <= 0) return "never";
  const age = nowMs - atMs;
  return age < 1500 ? "just now" : `${formatSpan(age)} ago`;
}

const two = (n: number): string => String(n).padStart(2, "0");

/** `14:03:25`, local time. */
export function formatClock(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `2026-11-22 14:03:25`, local time. */
export function formatMoment(ms: number): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${formatClock(ms)}`;
}
