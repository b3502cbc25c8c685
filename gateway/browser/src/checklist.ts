import type { HeadlessClient } from "./client";
import { STRINGS } from "./guidance";
import { h, navigation, safeLink, shadow } from "./dom";
import { safe } from "./safe";
import type { Progress, Step, UiOptions } from "./types";

/** Renders the user's steps: in an element of the page, or in a panel that a floating button opens. */
export class Checklist {
  readonly #strings;
  readonly #ends: () => void;
  readonly #host = h("div", { "data-onramp": true });
  readonly #root: HTMLElement | null;
  readonly #live = h("div", { class: "sr", role: "status", "aria-live": "polite" });
  readonly #title = h("h2");
  readonly #count = h("p");
  readonly #filled = h("i");
  readonly #list = h("ol");
  readonly #panel: HTMLElement;
  readonly #button: HTMLButtonElement | null = null;
  #rows = new Map<string, { item: HTMLLIElement; status: string }>();
  #shape = "";

  readonly #client: HeadlessClient;
  readonly #options: UiOptions;

  constructor(
    client: HeadlessClient,
    options: UiOptions,
  ) {
    this.#client = client;
    this.#options = options;
    this.#strings = { ...STRINGS, ...options.strings };
    const { checklist } = options;
    const where = typeof checklist === "string" ? document.querySelector(checklist) : checklist instanceof Element ? checklist : null;
    if (checklist !== true && !where) client.report("The checklist's element is missing");
    this.#root = shadow(this.#host);
    this.#panel = h("section", { class: "list", "aria-label": this.#strings.checklist }, this.#title, this.#count, h("div", { class: "bar" }, this.#filled), this.#list);
    if (this.#root && where) {
      where.append(this.#host);
    } else if (this.#root && checklist === true) {
      this.#panel.classList.add("card");
      this.#panel.id = "list";
      this.#panel.hidden = true;
      this.#button = h("button", { type: "button", class: "launch", "aria-expanded": "false", "aria-controls": "list", click: () => this.#toggle() });
      this.#root.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || this.#panel.hidden) return;
        event.stopPropagation();
        this.#toggle();
      });
      this.#root.append(this.#button);
    }
    this.#root?.append(this.#panel, this.#live);
    const update = safe(client.report, (progress: Progress | null) => this.#update(progress));
    this.#ends = client.on("progress", update);
    update(client.progress);
  }

  destroy(): void {
    this.#ends();
    this.#host.remove();
  }

  #toggle(): void {
    this.#panel.hidden = !this.#panel.hidden;
    this.#button?.setAttribute("aria-expanded", String(!this.#panel.hidden));
    if (this.#panel.hidden) this.#button?.focus();
  }

  #update(progress: Progress | null): void {
    if (this.#root) this.#root.hidden = !progress?.steps.length;
    if (!progress?.steps.length) return;
    if (this.#button && !this.#host.isConnected) document.body?.append(this.#host);
    const done = progress.steps.filter((each) => each.status === "done").length;
    const total = progress.steps.length;
    const count = this.#strings.progress.replace("{done}", String(done)).replace("{total}", String(total));
    this.#title.textContent = this.#strings.checklist;
    this.#count.textContent = count;
    if (this.#button) this.#button.textContent = `${this.#strings.checklist}: ${count}`;
    this.#filled.style.scale = `${done / total} 1`;
    this.#fill(progress.steps, count);
  }

  /** Change rows in place, so that the focus stays where it is; build them anew only for other steps. */
  #fill(steps: Step[], count: string): void {
    const shape = JSON.stringify(steps.map(({ id, title, link }) => [id, title, link]));
    const before = this.#rows;
    const same = shape === this.#shape;
    if (!same) {
      this.#shape = shape;
      this.#rows = new Map();
      this.#list.replaceChildren();
    }
    const news: string[] = [];
    for (const step of steps) {
      const old = before.get(step.id);
      if (same && old?.status === step.status) continue;
      if (old && old.status !== "done" && step.status === "done") news.push(`${step.title}: ${this.#strings.done}`);
      const item = same && old ? old.item : h("li");
      const focus = item.contains((this.#root?.getRootNode() as ShadowRoot).activeElement);
      const link = step.status === "done" ? null : safeLink(step.link, this.#options.linkOrigins);
      const label = step.status === "open" ? null : h("span", { class: "sr" }, `, ${this.#strings[step.status]}`);
      item.className = step.status;
      item.replaceChildren(
        h("b", { "aria-hidden": "true" }),
        h("span", {}, link ? h("a", { href: link, click: (event: MouseEvent) => navigation(event, link, this.#options, this.#client.report)?.() }, step.title) : step.title, label),
      );
      if (step.status === "current") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
      if (!same) this.#list.append(item);
      this.#rows.set(step.id, { item, status: step.status });
      if (focus) (item.querySelector("a") ?? this.#list.querySelector<HTMLElement>(".current a") ?? this.#button)?.focus();
    }
    if (news.length) this.#live.textContent = `${news.join(". ")}. ${count}.`;
  }
}
