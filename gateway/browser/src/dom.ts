import { safe, type Report } from "./safe";
import { CSS } from "./style";
import type { UiOptions } from "./types";

type Props = Record<string, string | boolean | ((event: never) => void)>;

/** Create an element. Text is only ever set as text; attributes never come from a message, but for links that `safeLink` has seen. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: (Node | string | null)[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

let sheet: CSSStyleSheet | null = null;

/** Give `host` a shadow tree with our styles. Returns its root, or null in a browser that cannot do it without inline styles. */
export function shadow(host: Element): HTMLElement | null {
  try {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(CSS);
    }
    const root = host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    const inner = h("div", { class: "root" });
    root.append(inner);
    return inner;
  } catch {
    return null;
  }
}

/** Return the address of a link that may be followed: http or https, to the page's origin or one of `origins`. */
export function safeLink(link: string | null, origins: readonly string[] = []): string | null {
  if (!link) return null;
  try {
    const url = new URL(link, location.href);
    const known = url.origin === location.origin || origins.includes(url.origin);
    return /^https?:$/.test(url.protocol) && known && !url.username ? url.href : null;
  } catch {
    return null;
  }
}

/** Return what follows a link inside of the page, or null where the browser must do it: no other key is held, and the page knows how. */
export function navigation(event: MouseEvent, link: string, { navigate }: UiOptions, report: Report): (() => void) | null {
  if (!navigate || event.type !== "click" || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return null;
  event.preventDefault();
  const url = new URL(link);
  return () => safe(report, navigate)(url.origin === location.origin ? url.pathname + url.search + url.hash : link);
}

/** The element that has the focus, also inside of shadow trees. */
export function focused(): Element | null {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element;
}

export function giveFocus(element: Element | null): void {
  if (element instanceof HTMLElement && element.isConnected) element.focus({ preventScroll: true });
}
