/** The way in: by a link that carries the key, or by pasting it. */
import { useState } from "preact/hooks";
import { ApiError, Client } from "../api/client";
import { Icon } from "../components/Icon";
import { Notice } from "../components/Notice";

const KEY_SHAPE = /^dw_(agent|read|admin)_[A-Za-z0-9]+_[A-Za-z0-9]+$/;

export function SignIn({ refused, onKey }: { refused: string | null; onKey: (key: string, beyondTab: boolean) => void }) {
  const [text, setText] = useState("");
  const [keep, setKeep] = useState(true);
  const [error, setError] = useState<string | null>(refused);
  const [busy, setBusy] = useState(false);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const key = text.trim();
    const problem = shapeProblem(key);
    if (problem !== null) {
      setError(problem);
      return;
    }
    setBusy(true);
    try {
      await new Client(key).sources();
      onKey(key, keep);
    } catch (cause) {
      const prefix = cause instanceof ApiError && cause.isKeyRefused ? "The server refuses this key: " : "";
      setError(prefix + (cause instanceof Error ? cause.message : String(cause)));
      setBusy(false);
    }
  };

  return (
    <main class="sign-in">
      <div class="card sign-in-card">
        <h1 class="brand">
          <Icon name="pulse" size={26} />
          Daywatch
        </h1>
        <p class="soft">Open the login link that the server printed, or paste a read key.</p>
        {error !== null && <Notice tone="crit">{error}</Notice>}
        <form onSubmit={(event) => void submit(event)}>
          <input type="text" name="username" autocomplete="username" value="daywatch" readOnly hidden />
          <label for="key">Read key</label>
          <input id="key" class="field mono" type="password" autocomplete="current-password" placeholder="dw_read_…" value={text} onInput={(event) => setText(event.currentTarget.value)} aria-invalid={error !== null} autocapitalize="off" spellcheck={false} />
          <label class="keep">
            <input type="checkbox" checked={keep} onChange={(event) => setKeep(event.currentTarget.checked)} />
            Stay signed in on this device
          </label>
          <button type="submit" class="button main" disabled={busy}>
            {busy ? "Signing in…" : "Sign in"}
          </button>
        </form>
        <p class="soft small">
          A new key: <code>daywatch keys create --kind read</code>
        </p>
      </div>
    </main>
  );
}

/** What is wrong with a key before the server is asked; `null` where nothing is. */
export function shapeProblem(key: string): string | null {
  if (key === "") return "Paste a key first.";
  const kind = KEY_SHAPE.exec(key)?.[1];
  if (kind === undefined) return "This is not a whole key: it should look like dw_read_<id>_<secret>.";
  if (kind === "agent") return "This is an agent's key, which may only send. The page needs a read key.";
  return null;
}
