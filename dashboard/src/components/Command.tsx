/** A command line to copy. */
import { useState } from "preact/hooks";
import { Icon } from "./Icon";

export function Command({ text }: { text: string }) {
  const [said, setSaid] = useState("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Select the text to copy it");
    }
    setTimeout(() => setSaid(""), 2_500);
  };
  return (
    <div class="command">
      <pre>
        <code>{text}</code>
      </pre>
      <button type="button" class="button slim" onClick={() => void copy()}>
        <Icon name="copy" size={14} />
        <span aria-live="polite">{said || "Copy"}</span>
      </button>
    </div>
  );
}
