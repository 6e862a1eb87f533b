/** A sentence across the page that somebody should read. */
import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./Icon";

export type Tone = "info" | "warn" | "crit" | "alarm";

const ICONS: Record<Tone, IconName> = { info: "info", warn: "warning", crit: "critical", alarm: "silent" };

export function Notice(props: { tone: Tone; children: ComponentChildren; onDismiss?: () => void }) {
  return (
    <div class={`notice ${props.tone}`} role={props.tone === "alarm" ? "alert" : "status"}>
      <Icon name={ICONS[props.tone]} size={18} />
      <div class="grow">{props.children}</div>
      {props.onDismiss && (
        <button type="button" class="button plain slim" onClick={props.onDismiss} aria-label="Dismiss">
          <Icon name="close" size={14} />
        </button>
      )}
    </div>
  );
}
