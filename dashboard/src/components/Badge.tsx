/** A state as icon and word; never as colour alone. */
import { statusName } from "../store/derive";
import { Icon, type IconName } from "./Icon";

const STATUS_ICONS = { OK: "ok", WARNING: "warning", CRITICAL: "critical", UNKNOWN: "unknown" } as const;

export function StatusBadge({ status, count }: { status: number; count?: number }) {
  const name = statusName(status);
  return (
    <span class={`badge is-${name.toLowerCase()}`}>
      <Icon name={STATUS_ICONS[name]} size={13} />
      {count === undefined ? name : `${count} ${name}`}
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
