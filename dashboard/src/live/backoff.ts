/** When to try again: full jitter, so that all pages do not come back at one moment. */

/** Upper bound of the first wait, ms. */
export const BACKOFF_FIRST_MS = 1_000;
/** Upper bound of every later wait, ms. */
export const BACKOFF_MS_MAX = 30_000;

/** The wait before try `attempt` (0 for the first), with `random` in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  const bound = Math.min(BACKOFF_MS_MAX, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 20));
  return Math.floor(bound * random);
}
