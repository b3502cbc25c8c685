import type { HeadlessClient } from "./client";
import { focused, giveFocus, h, navigation, safeLink, shadow } from "./dom";
import { place } from "./place";
import { listen, safe } from "./safe";
import type { Recommendation, Strings, UiOptions } from "./types";

/** Milliseconds. A modal waits until nobody has typed for so long: it takes the focus. */
const TYPING = 1_500;
/** Between two pieces of guidance, so that one is never mistaken for a change of the other. */
const BETWEEN = 400;
/** After the pointer moved on guidance, it stays for so long. */
const ENGAGED = 2_000;
/** How often it looks for what a tooltip points at, and for what lies over guidance; pages move without telling. */
const LOOK = 400;

const RENDERED = new Set(["tooltip", "modal", "sidebar_hint"]);

export const STRINGS: Strings = {
  suggestion: "A suggestion",
  open: "Show me",
  dismiss: "Dismiss",
  notNow: "Not now",
  checklist: "Getting started",
  progress: "{done} of {total} done",
  done: "done",
  current: "next",
  goTo: "Press {key} to go to it.",
};

interface View {
  recommendation: Recommendation;
  card: HTMLElement;
  /** Shown for a tooltip that points at something. */
  arrow: HTMLElement;
  timer: ReturnType<typeof setInterval>;
  /** Where the focus was before it was moved here. */
  before: Element | null;
  /** Whether it was reported as shown. */
  seen: boolean;
}

/** Renders the guidance of a client: one piece at a time, whose text never changes while it is on the screen. */
export class Guidance {
  readonly #host = h("div", { "data-onramp": true });
  readonly #root: HTMLElement | null;
  readonly #live = h("div", { class: "sr", role: "status", "aria-live": "polite" });
  readonly #strings: Strings;
  readonly #shortcut: string;
  readonly #cleanups: (() => void)[] = [];
  #view: View | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #typed = 0;
  #notBefore = 0;
  #pointed = 0;

  readonly #client: HeadlessClient;
  readonly #options: UiOptions;

  constructor(
    client: HeadlessClient,
    options: UiOptions,
  ) {
    this.#client = client;
    this.#options = options;
    this.#strings = { ...STRINGS, ...options.strings };
    this.#shortcut = options.shortcut === false ? "" : (options.shortcut ?? "Alt+Shift+G");
    this.#root = shadow(this.#host);
    if (!this.#root) {
      client.report("This browser cannot render guidance");
      return;
    }
    this.#root.append(this.#live);
    const again = (): void => this.#update();
    this.#cleanups.push(client.on("recommendation", again));
    this.#listen(document, "visibilitychange", again);
    this.#listen(window, "storage", again); // it was closed in another tab
    this.#listen(document, "keydown", (event) => this.#key(event as KeyboardEvent));
    this.#listen(window, "scroll", () => this.#move());
    this.#listen(window, "resize", () => this.#move());
    this.#update();
  }

  /** Move the focus to the guidance on the screen. Returns whether there is any. */
  focus(): boolean {
    if (!this.#view) return false;
    this.#view.before ??= focused();
    giveFocus(this.#view.card.querySelector("h2"));
    return true;
  }

  destroy(): void {
    clearTimeout(this.#timer);
    for (const each of this.#cleanups) each();
    this.#close();
    this.#host.remove();
  }

  // ---------------------------------------------------------------------------------------------------------- what is on screen

  /** Bring the screen in line with the client's recommendation, now or when the user is not in the middle of something. */
  #update(): void {
    clearTimeout(this.#timer);
    const { recommendation: newest } = this.#client;
    const wanted = newest && RENDERED.has(newest.uiComponent) && !this.#client.isClosed(newest.recommendationId) ? newest : null;
    const view = this.#view;
    if (view?.recommendation.recommendationId === wanted?.recommendationId) return; // its text may be newer; the reader's stays
    if (view) {
      if (this.#engaged()) return this.#later(LOOK);
      this.#close();
      this.#notBefore = Date.now() + BETWEEN;
    }
    if (!wanted || document.hidden || !document.body) return; // update is called again
    const quiet = wanted.uiComponent === "modal" ? this.#typed + TYPING : 0;
    const wait = Math.max(this.#notBefore, quiet) - Date.now();
    if (wait > 0) return this.#later(wait);
    // A dialog of the page makes the rest of the page inert, ours included. Browsers that do not know the selector only see below.
    if (safe(() => undefined, () => document.querySelector("dialog:modal"))()) return this.#later(LOOK);
    this.#open(wanted);
  }

  #later(milliseconds: number): void {
    this.#timer = setTimeout(safe(this.#client.report, () => this.#update()), milliseconds);
  }

  /** Whether the user is about to use what is on the screen: it must not vanish under the hand. A pointer that only lies there is not. */
  #engaged(): boolean {
    return Date.now() - this.#pointed < ENGAGED || Boolean(this.#view?.card.contains(focused()));
  }

  #open(recommendation: Recommendation): void {
    if (!this.#root) return;
    if (!this.#host.isConnected) document.body.append(this.#host);
    const modal = recommendation.uiComponent === "modal";
    const title = this.#client.progress?.steps.find((each) => each.id === recommendation.stepId)?.title ?? this.#strings.suggestion;
    const link = safeLink(recommendation.deepLink, this.#options.linkOrigins);
    const dismiss = (): void => this.#end("dismissed");
    const follow = (event: MouseEvent): void => this.#follow(event, recommendation, link ?? "");
    const card = h(
      modal ? "dialog" : "div",
      { class: `card guide ${modal ? "modal" : recommendation.uiComponent === "tooltip" ? "tooltip corner" : "side"}`, "aria-labelledby": "title", "aria-describedby": "text" },
      h("h2", { id: "title", tabindex: "-1" }, title),
      h("p", { id: "text" }, recommendation.message),
      h(
        "div",
        { class: "row" },
        link && h("a", { href: link, click: follow, auxclick: follow }, this.#strings.open),
        h("button", { type: "button", click: dismiss }, this.#strings.notNow),
      ),
      h("button", { type: "button", class: "x", "aria-label": this.#strings.dismiss, click: dismiss }, "×"),
    );
    if (!modal) card.setAttribute("role", "region");
    const arrow = h("div", { class: "arrow", hidden: true });
    const timer = setInterval(safe(this.#client.report, () => this.#move()), LOOK);
    const view: View = { recommendation, card, arrow, timer, before: null, seen: false };
    this.#view = view;
    card.addEventListener("pointermove", () => (this.#pointed = Date.now()));
    this.#root.append(arrow, card);
    if (card instanceof HTMLDialogElement) this.#showModal(card, view, dismiss);
    else {
      const key = this.#shortcut && this.#strings.goTo.replace("{key}", this.#shortcut);
      this.#live.textContent = [title, recommendation.message, key].join(". ").replace(/([.!?])\. /g, "$1 ");
    }
    this.#move();
  }

  /** The browser's own dialog: it holds the focus, makes the rest of the page inert, and closes at Escape. */
  #showModal(card: HTMLDialogElement, view: View, dismiss: () => void): void {
    view.before = focused();
    card.addEventListener("cancel", (event) => {
      event.preventDefault();
      dismiss();
    });
    card.addEventListener("click", (event) => {
      if (event.target !== card) return;
      const { left, right, top, bottom } = card.getBoundingClientRect();
      const inside = event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
      if (!inside) dismiss();
    });
    card.showModal();
    giveFocus(card.querySelector("h2"));
  }

  /** Keep a tooltip at what it points at. Report guidance as shown, as soon as nothing of the page lies over its middle. */
  #move(): void {
    const view = this.#view;
    if (!view) return;
    if (!this.#host.isConnected) document.body?.append(this.#host); // the page has replaced its body
    const { card, arrow, recommendation } = view;
    if (recommendation.uiComponent === "tooltip") place(card, arrow, this.#anchor(recommendation));
    if (view.seen) return;
    const { left, top, width, height } = card.getBoundingClientRect();
    view.seen = document.elementFromPoint(left + width / 2, top + height / 2) === this.#host;
    if (view.seen) this.#client.shown(recommendation.recommendationId);
  }

  #anchor({ stepId, deepLink }: Recommendation): Element | null {
    const own = stepId && Object.hasOwn(this.#options.targets ?? {}, stepId) ? this.#options.targets?.[stepId] : null;
    const selectors = [own, stepId && `[data-onramp-step="${CSS.escape(stepId)}"]`, deepLink && `a[href="${CSS.escape(deepLink)}"]`];
    const find = safe(this.#client.report, (selector: string): Element[] => [...document.querySelectorAll(selector)], []);
    const found = selectors.flatMap((each) => (each ? find(each) : []));
    return found.find((each) => each.getClientRects().length) ?? null; // what is hidden is nothing to point at
  }

  #follow(event: MouseEvent, { recommendationId }: Recommendation, link: string): void {
    if (event.type === "auxclick" && event.button !== 1) return;
    const go = navigation(event, link, this.#options, this.#client.report);
    if (go) {
      this.#end("clicked");
      go();
    } else {
      // The browser follows the link after this listener: it must still be there.
      this.#client.clicked(recommendationId);
      setTimeout(() => this.#close());
    }
  }

  #end(how: "clicked" | "dismissed"): void {
    const id = this.#view?.recommendation.recommendationId;
    if (!id) return;
    this.#client[how](id);
    this.#close();
    this.#notBefore = Date.now() + BETWEEN;
    this.#update();
  }

  #close(): void {
    const view = this.#view;
    if (!view) return;
    this.#view = null;
    this.#pointed = 0;
    const modal = view.card instanceof HTMLDialogElement;
    const had = modal || view.card.contains(focused());
    if (modal) (view.card as HTMLDialogElement).close(); // the page is inert until then, and takes no focus
    clearInterval(view.timer);
    view.arrow.remove();
    view.card.remove();
    this.#live.textContent = "";
    if (had) giveFocus(view.before);
  }

  // ------------------------------------------------------------------------------------------------------------------- keyboard

  #key(event: KeyboardEvent): void {
    const view = this.#view;
    const target = event.composedPath()[0];
    if (target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))) this.#typed = Date.now();
    if (!view) return;
    if (event.key === "Escape" && !event.defaultPrevented && !(view.card instanceof HTMLDialogElement)) {
      const element = focused();
      const idle = !element || element === document.body;
      if (idle || view.card.contains(element) || element === this.#anchor(view.recommendation)) this.#end("dismissed");
    } else if (this.#shortcut && matches(event, this.#shortcut)) {
      event.preventDefault();
      this.focus();
    }
  }

  #listen(target: EventTarget, name: string, act: (event: Event) => void): void {
    listen(this.#client.report, this.#cleanups, target, name, act, name === "scroll");
  }
}

/** Whether a key event is the one that a text like `Alt+Shift+G` names. */
function matches(event: KeyboardEvent, shortcut: string): boolean {
  const parts = shortcut.toLowerCase().split("+");
  const key = parts.pop();
  const held = [event.altKey && "alt", event.ctrlKey && "ctrl", event.metaKey && "meta", event.shiftKey && "shift"].filter(Boolean);
  return parts.sort().join() === held.join() && (event.key.toLowerCase() === key || event.code.toLowerCase() === `key${key}`);
}
