/** A state as icon and word; never as colour alone. */
import { statusName } from "../store/derive";
import { Icon, type IconName } from "./Icon";

const STATUS_ICONS = { OK: "ok", WARNING: "warning", CRITICAL: "critical", UNKNOWN: "unknown" } as const;

/** `brief` leaves the word to readers and the title: its icon still tells it apart. */
export function StatusBadge({ status, count, brief = false }: { status: number; count?: number; brief?: boolean }) {
  const name = statusName(status);
  return (
    <span class={`badge is-${name.toLowerCase()}`} title={brief ? name : undefined}>
      <Icon name={STATUS_ICONS[name]} size={13} />
      {count}
      {count !== undefined && " "}
      {brief ? <span class="hidden-text">{name}</span> : name}
    </span>
  );
}

export function AlertBadge({ state }: { state: string }) {
  const icon: IconName = state === "firing" ? "critical" : "pending";
  return (
    <span class={`badge is-${state === "firing" ? "firing" : "pending"}`}>
      <Icon name={icon} size={13} />
      {state.toUpperCase()}
    </span>
  );
}
