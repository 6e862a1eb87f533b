/**
 * A counter's rate in the browser, for the points that came in since the history was asked for.
 * It agrees with the server's `rate(counter[window])` where samples come regularly: the increase
 * over the window, a fall counting as a restart at zero, over the time between first and last sample.
 */
import type { Point } from "../api/types";
import { indexAt } from "./points";

/** The rate per second at each sample that has another one within the window before it. */
export function rates(samples: readonly Point[], windowMs: number): Point[] {
  const numbers = samples.filter((point) => !Number.isNaN(point[1]));
  const out: Point[] = [];
  const increases = cumulative(numbers);
  for (let last = 1; last < numbers.length; last += 1) {
    const endMs = numbers[last]![0];
    const first = indexAt(numbers, endMs - windowMs) + 1;
    if (first >= last) continue;
    const overMs = endMs - numbers[first]![0];
    out.push([endMs, ((increases[last]! - increases[first]!) / overMs) * 1000]);
  }
  return out;
}

/** The counter as it would stand had it never restarted. */
function cumulative(numbers: readonly Point[]): number[] {
  const out: number[] = [];
  let total = 0;
  numbers.forEach(([, value], i) => {
    const before = i === 0 ? value : numbers[i - 1]![1];
    total += value >= before ? value - before : value;
    out.push(total);
  });
  return out;
}
