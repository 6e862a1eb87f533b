/** What this browser remembers: the key and the theme. Storage may be forbidden; then nothing is kept. */

const KEY = "daywatch.key";
const THEME = "daywatch.theme";

export type Theme = "system" | "light" | "dark";

function tried<T>(action: () => T, otherwise: T): T {
  try {
    return action();
  } catch {
    return otherwise;
  }
}

export function keptKey(): string | null {
  return tried(() => sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY), null);
}

/** Keeps the key for this tab, or beyond it. */
export function keepKey(key: string, beyondTab: boolean): void {
  forgetKey();
  tried(() => (beyondTab ? localStorage : sessionStorage).setItem(KEY, key), undefined);
}

export function forgetKey(): void {
  tried(() => sessionStorage.removeItem(KEY), undefined);
  tried(() => localStorage.removeItem(KEY), undefined);
}

export function keptTheme(): Theme {
  const theme = tried(() => localStorage.getItem(THEME), null);
  return theme === "light" || theme === "dark" ? theme : "system";
}

export function applyTheme(theme: Theme): void {
  if (theme === "system") {
    delete document.documentElement.dataset.theme;
    tried(() => localStorage.removeItem(THEME), undefined);
  } else {
    document.documentElement.dataset.theme = theme;
    tried(() => localStorage.setItem(THEME, theme), undefined);
  }
  window.dispatchEvent(new Event("daywatch-theme"));
}
