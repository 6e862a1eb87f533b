/** Whether a source is there: dot and words. Only agents are expected to be there all the time. */
import type { Source } from "../api/types";
import { Ago } from "./Ago";

export function Presence({ source }: { source: Source }) {
  const kind = source.kind !== "agent" ? (source.present ? "present" : "quiet") : source.present ? "present" : "lost";
  return (
    <span class={`presence ${kind}`}>
      <span class="dot" />
      <span>
        {kind === "lost" ? "absent" : kind}
        <span class="soft small">
          {" · "}
          <Ago atMs={source.last_seen_ms} />
        </span>
      </span>
    </span>
  );
}
