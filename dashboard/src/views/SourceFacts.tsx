/** What kind of machine a source is, from its metrics. */
import { equals, selector } from "../api/prom";
import type { Labels, Source } from "../api/types";
import { formatSpan } from "../format/time";
import { formatValue } from "../format/units";
import { useAsked } from "../page/asked";
import { useNow, usePage } from "../page/context";

interface Facts {
  uname: Labels | null;
  bootS: number | null;
  memoryBytes: number | null;
  cpus: number | null;
}

export function SourceFacts({ source }: { source: Source }) {
  const { name } = source;
  const { session } = usePage();
  const now = useNow(30_000);
  const { value: facts, error } = useAsked(async (): Promise<Facts> => {
    const of = [equals("source", name)];
    const ask = (expr: string) => session.client.instant(expr, session.client.serverNow());
    const [uname, boot, memory, cpus] = await Promise.all([
      ask(selector("node_uname_info", of)),
      ask(selector("node_boot_time_seconds", of)),
      ask(selector("node_memory_MemTotal_bytes", of)),
      ask(`count by (source) (${selector("node_cpu_seconds_total", [...of, 'mode="idle"'])})`),
    ]);
    const value = (one: typeof boot): number | null => one[0]?.points.at(-1)?.[1] ?? null;
    return { uname: uname[0]?.labels ?? null, bootS: value(boot), memoryBytes: value(memory), cpus: value(cpus) };
  }, [session, name]);
  if (error !== null) return <p class="source-facts">Facts about the host could not be read: {error}</p>;
  const system = facts?.uname ? [facts.uname.sysname, facts.uname.release, facts.uname.machine].filter(Boolean).join(" ") : "";
  return (
    <p class="source-facts">
      {source.host && source.host !== name && <span>host {source.host}</span>}
      {system && <span>{system}</span>}
      {facts && <Sizes facts={facts} nowMs={now} />}
      {source.agent_version && <span>agent {source.agent_version}</span>}
    </p>
  );
}

function Sizes({ facts, nowMs }: { facts: Facts; nowMs: number }) {
  const { cpus, memoryBytes, bootS } = facts;
  return (
    <>
      {cpus !== null && (
        <span>
          <b>{cpus}</b> {cpus === 1 ? "CPU" : "CPUs"}
        </span>
      )}
      {memoryBytes !== null && (
        <span>
          <b>{formatValue(memoryBytes, "bytes")}</b> memory
        </span>
      )}
      {bootS !== null && (
        <span>
          up <b>{formatSpan(nowMs - bootS * 1000)}</b>
        </span>
      )}
    </>
  );
}
