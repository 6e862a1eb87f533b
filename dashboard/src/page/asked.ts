/** Something that a component asks the server for once; a failure is shown and tried again. */
import { useEffect, useState } from "preact/hooks";

/** The pause before a failed question is asked again, ms. */
const AGAIN_MS = 10_000;

export interface Asked<T> {
  value: T | null;
  error: string | null;
}

/** Asks anew whenever `inputs` change; what is known of the old ones is dropped. */
export function useAsked<T>(ask: () => Promise<T>, inputs: readonly unknown[]): Asked<T> {
  const [asked, setAsked] = useState<Asked<T>>({ value: null, error: null });
  useEffect(() => {
    let ended = false;
    let again: ReturnType<typeof setTimeout> | undefined;
    const run = async (): Promise<void> => {
      try {
        const value = await ask();
        if (!ended) setAsked({ value, error: null });
      } catch (cause) {
        if (ended) return;
        setAsked({ value: null, error: cause instanceof Error ? cause.message : String(cause) });
        again = setTimeout(() => void run(), AGAIN_MS);
      }
    };
    setAsked({ value: null, error: null });
    void run();
    return () => {
      ended = true;
      clearTimeout(again);
    };
  }, inputs);
  return asked;
}
