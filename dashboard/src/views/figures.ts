/** Four numbers a host for the overview, by instant queries over all hosts at once. */
import { useEffect, useState } from "preact/hooks";
import type { SeriesPoints } from "../api/types";
import { usePage } from "../page/context";

/** How often they are asked for, ms. */
const FIGURES_MS = 10_000;

export const FIGURES = {
  cpu: '100 * (1 - sum by (source) (rate(node_cpu_seconds_total{mode="idle"}[1m])) / sum by (source) (rate(node_cpu_seconds_total[1m])))',
  load: "max by (source) (node_load1)",
  memory: "max by (source) (100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes))",
  disk: 'max by (source) (100 * (1 - node_filesystem_avail_bytes{fstype!~"tmpfs|devtmpfs|squashfs|overlay|ramfs"} / node_filesystem_size_bytes{fstype!~"tmpfs|devtmpfs|squashfs|overlay|ramfs"}))',
} as const;

export type Figure = keyof typeof FIGURES;
export type Figures = ReadonlyMap<string, Partial<Record<Figure, number>>>;

export function useFigures(wanted: boolean): { figures: Figures; error: string | null } {
  const { session } = usePage();
  const [figures, setFigures] = useState<Figures>(new Map());
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    if (!wanted) return;
    let ended = false;
    const load = async (): Promise<void> => {
      if (document.visibilityState === "hidden") return;
      try {
        const now = session.client.serverNow();
        const names = Object.keys(FIGURES) as Figure[];
        const answers = await Promise.all(names.map((name) => session.client.instant(FIGURES[name], now)));
        if (ended) return;
        setFigures(collect(names, answers));
        setError(null);
      } catch (cause) {
        if (!ended) setError(cause instanceof Error ? cause.message : String(cause));
      }
    };
    void load();
    const timer = setInterval(() => void load(), FIGURES_MS);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, [session, wanted]);
  return { figures, error };
}

export function collect(names: readonly Figure[], answers: readonly SeriesPoints[][]): Figures {
  const bySource = new Map<string, Partial<Record<Figure, number>>>();
  names.forEach((name, i) => {
    for (const { labels, points } of answers[i] ?? []) {
      const source = labels.source;
      const value = points.at(-1)?.[1];
      if (source === undefined || value === undefined) continue;
      bySource.set(source, { ...bySource.get(source), [name]: value });
    }
  });
  return bySource;
}
