import { Identity, randomId } from "./identity";
import { Queue, type Sent } from "./queue";
import { read } from "./records";
import { Emitter, listen, parse, reporter, safe, type Report } from "./safe";
import { Store } from "./storage";
import { Subscription, type Kind } from "./stream";
import { cut, idOf } from "./text";
import { Tokens } from "./tokens";
import type { Client, ClientEvents, Connection, Delivery, Options, Progress, Recommendation } from "./types";

/** Types that a publishable key must not send: they are sent with the token of the user whom they are about. */
const OF_THE_USER = ["identity_merged", "preferences_changed", "step_completed"];
/** Recommendations whose fate this browser remembers. */
const MOST_REMEMBERED = 50;
const LONGEST_EVENT_ID = 128;
const LONGEST_TIMER = 2 ** 31 - 1;
/** Milliseconds for which a hidden page keeps its stream, so that a look at another tab does not end it. */
const HIDDEN = 5_000;
/** Milliseconds after a change of the path: only then has a single-page app set the title of the new page. */
const TITLE = 100;
/** Milliseconds after which it looks again whether events still wait for a merge. */
const LOOK = 400;
/** Milliseconds for which events wait until Segment's library says who the visitor is. */
const SEGMENT = 2_000;

/** The methods of a client, and what they return where they cannot do their work. */
export const ANSWERS = {
  send: "",
  track: undefined,
  page: undefined,
  identify: undefined,
  reset: undefined,
  shown: undefined,
  clicked: undefined,
  dismissed: undefined,
  isClosed: false,
  on: () => undefined,
  flush: Promise.resolve(),
  destroy: undefined,
};

/** What of Segment's library is used beside its ids. */
interface Segment {
  ready?(then: () => void): void;
  on?(name: string, then: () => void): void;
}

type Fates = Record<string, Partial<Record<Outcome, boolean>>>;
type Outcome = "shown" | "clicked" | "dismissed";

/** Start a client that renders nothing. Never throws: without a usable host and key it sends nothing and tells `onError`. */
export function createClient(options: Options, relay?: Emitter<ClientEvents>["relay"]): HeadlessClient {
  const report = reporter((options as Options | undefined)?.onError);
  const start = safe(report, (given: Options) => new HeadlessClient(given, report, relay));
  return start(options) ?? new HeadlessClient({ host: "", key: "" }, reporter(null));
}

export class HeadlessClient implements Client {
  recommendation: Recommendation | null = null;
  record: Recommendation | null = null;
  progress: Progress | null = null;
  connection: Connection = "off";

  readonly #base: string | null;
  readonly #store: Store;
  readonly #identity: Identity;
  readonly #tokens: Tokens;
  readonly #events: Emitter<ClientEvents>;
  readonly #open: Queue;
  readonly #ofUser: Queue;
  readonly #cleanups: (() => void)[] = [];
  #fates: Fates = {};
  #subscription: Subscription | null = null;
  #followed: string | null = null;
  /** Runs while events wait for a merge. */
  #mergeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Events that wait until Segment's library is there. */
  #held: string[] | null = null;
  #ended = false;
  /** While it sends what waits: whether the page is gone for sure, or only may be, or its user. */
  #gone: boolean | null = null;
  #expiry: ReturnType<typeof setTimeout> | undefined;
  /** Path of the last automatic page view; that of the one that waits; and what sends it. */
  #lastPath: string | null = null;
  #newPath: string | null = null;
  #titleTimer: ReturnType<typeof setTimeout> | undefined;
  #lastMoment = 0;
  #inMoment = 0;

  readonly report: Report;
  readonly #options: Options;

  constructor(
    options: Options,
    report: Report,
    relay?: Emitter<ClientEvents>["relay"],
  ) {
    this.report = report;
    this.#options = options;
    this.#base = address(options.host, report);
    const key = typeof options.key === "string" ? options.key.trim() : "";
    if (!key) report("init needs a publishable key");
    const url = this.#base && key ? `${this.#base}/v1/events` : null;
    this.#store = new Store(`onramp:${key.slice(-12)}:`, options.persist !== false && typeof window !== "undefined");
    this.#identity = new Identity(this.#store, idOf(options.user), options.persist !== false);
    this.#tokens = new Tokens(options.token, () => this.#followed, report);
    this.#events = new Emitter(report, relay);
    const told = (delivery: Delivery): void => {
      this.#events.emit("delivery", delivery);
      const { eventType, eventId, payload } = delivery.event as Sent;
      if (eventType !== "identity_merged") return;
      this.#identity.merged((Object(payload) as { previousId: string }).previousId, delivery.state !== "waiting" || this.#store.get(`u:${eventId}`));
      this.#open.hurry();
    };
    const withKey = { get: async () => key, may: (event: Sent) => this.#may(event) };
    this.#open = new Queue("q:", url, withKey, this.#store, report, told);
    this.#ofUser = new Queue("u:", url && this.#tokens.available ? url : null, this.#tokens, this.#store, report, told);

    for (const [name, otherwise] of Object.entries(ANSWERS)) {
      const method = this[name as keyof typeof ANSWERS].bind(this) as (...given: unknown[]) => unknown;
      (this as Record<string, unknown>)[name] = safe<unknown[], unknown>(report, method, otherwise);
    }
    if (typeof window !== "undefined") this.#listen();
    this.#follow();
  }

  get user(): string | null {
    return this.#identity.user;
  }

  send(eventType: string, payload: Record<string, unknown> = {}, name?: string): string {
    if (eventType === "user_deleted") {
      this.report("user_deleted is for your server only");
      return "";
    }
    return this.#enqueue(eventType, payload, name);
  }

  track(name: string, properties: Record<string, unknown> = {}): void {
    this.send("track", properties, String(name));
  }

  page(path?: string, title?: string): void {
    const here = path ?? this.#pathNow();
    const text = title ?? globalThis.document?.title;
    this.send("page_view", { path: here, ...(text && { title: cut(text, 1_000) }) });
  }

  identify(user: string, traits?: Record<string, unknown>): void {
    const known = idOf(user);
    if (!known) return this.report("identify needs a user id");
    if (this.#identity.user !== known) {
      this.#viewed(); // by the one before
      if (this.#identity.user) this.#release();
      this.#identity.user = known;
    }
    this.#follow();
    if (traits) this.send("identify", { traits });
  }

  reset(): void {
    this.#viewed();
    this.#release();
    this.#identity.reset();
    this.#follow();
  }

  shown(recommendationId: string): void {
    this.#settle(recommendationId, "shown");
  }

  clicked(recommendationId: string): void {
    this.#settle(recommendationId, "clicked");
  }

  dismissed(recommendationId: string): void {
    this.#settle(recommendationId, "dismissed");
  }

  isClosed(recommendationId: string): boolean {
    const fate = this.#readFates()[recommendationId];
    return Boolean(fate?.clicked || fate?.dismissed);
  }

  on<K extends keyof ClientEvents>(what: K, listener: (value: ClientEvents[K]) => void): () => void {
    return this.#events.on(what, listener);
  }

  async flush(): Promise<void> {
    if (this.user) this.#release();
    this.#tokens.hurry();
    await Promise.all([this.#open.flush(), this.#ofUser.flush()]); // neither rejects
  }

  destroy(): void {
    this.#leave();
    this.#ended = true;
    for (const each of this.#cleanups.splice(0)) each();
    clearTimeout(this.#expiry);
    this.#subscription?.end();
    this.#open.end();
    this.#ofUser.end();
    this.#events.clear();
  }

  // ------------------------------------------------------------------------------------------------------------------- events

  #enqueue(eventType: string, payload: Record<string, unknown>, name?: string, wanted = ""): string {
    if (this.#ended) return "";
    this.#follow(); // Segment's library may know the user by now
    const eventId = wanted && wanted.length <= LONGEST_EVENT_ID ? wanted : randomId();
    const event: Sent = { eventId, eventType, timestamp: this.#moment(), payload };
    if (name !== undefined) event.name = name;
    if (!this.#held) return this.#put(event) ? eventId : "";
    this.#held.push(JSON.stringify(event));
    return eventId;
  }

  /** Say of whom the event is, and queue it. */
  #put(event: Sent): boolean {
    const { eventType } = event;
    const { user } = this.#identity;
    const ofUser = OF_THE_USER.includes(eventType);
    if (ofUser && !(this.#tokens.available && user)) {
      this.report(`${eventType} needs a user and a token`);
      return false;
    }
    if (user) event.userId = user;
    else event.anonymousId = this.#identity.anonymous();
    return (ofUser ? this.#ofUser : this.#open).add(event);
  }

  /** Segment's library is there, or takes too long. */
  #release(): void {
    const held = this.#held;
    this.#held = null;
    this.#follow();
    for (const each of held ?? []) this.#put(JSON.parse(each) as Sent);
  }

  /** The time now. Events of one millisecond keep their order by three more digits, and are one moment all the same. */
  #moment(): string {
    const now = Date.now();
    this.#inMoment = now === this.#lastMoment ? this.#inMoment + 1 : 0;
    this.#lastMoment = now;
    return new Date(now).toISOString().replace("Z", `${String(Math.min(this.#inMoment, 999)).padStart(3, "0")}Z`);
  }

  /**
   * A user's events wait until the visitor was merged into the user, who then keeps the visitor's experiment group. They do not wait longer
   * than their page, since the next one may be elsewhere; where it only may end, those go that the next page would not find.
   */
  #may({ userId, eventId }: Sent): boolean {
    if (!this.#ofUser.holds(userId, (this.#held || userId === this.#followed) && this.#tokens)) return true;
    this.#mergeTimer ??= setTimeout(() => {
      this.#mergeTimer = undefined;
      this.#open.hurry();
    }, LOOK);
    return this.#gone || (this.#gone === false && !this.#store.get(`q:${eventId}`));
  }

  /** The page, or what is under way here, may end now. */
  #leave(gone?: boolean): void {
    this.#viewed();
    this.#release();
    this.#sendNow(gone);
  }

  /** Send what waits: a merge first. Only the user's token can send that, now or when the user is back. */
  #sendNow(gone = false): void {
    this.#ofUser.leave();
    this.#gone = gone;
    this.#open.leave();
    this.#gone = null;
  }

  /** Report an outcome once, also when the page is loaded again or open twice: the event's id is made from the recommendation's. */
  #settle(recommendationId: string, outcome: Outcome): void {
    const id = String(recommendationId);
    this.#fates = this.#readFates();
    const fate = (this.#fates[id] ??= {});
    if (fate[outcome] || this.#ended) return;
    fate[outcome] = true;
    for (const each of Object.keys(this.#fates).slice(0, -MOST_REMEMBERED)) delete this.#fates[each];
    this.#store.set("fates", JSON.stringify(this.#fates));
    this.#enqueue(`recommendation_${outcome}`, { recommendationId: id }, undefined, `${outcome}:${id}`);
  }

  /** What this browser remembers, other tabs included. Without a prototype: a recommendation's id may be any text. */
  #readFates(): Fates {
    const found = Object.assign(Object.create(null), this.#fates) as Fates;
    const kept = Object(parse(this.#store.get("fates") ?? "")) as Fates; // nothing, where somebody else wrote it
    for (const [id, fate] of Object.entries(kept)) found[id] = { ...fate, ...found[id] };
    return found;
  }

  // ------------------------------------------------------------------------------------------------------------------ guidance

  /** Follow the user of now, and nobody else. The visitor of before becomes this user. */
  #follow(): void {
    const { user } = this.#identity;
    if (user === this.#followed || this.#held || this.#ended) return;
    if (this.#followed) this.#sendNow(); // while the token is there
    this.#tokens.forget();
    this.#followed = user;
    for (const visitor of user ? this.#identity.unmerged() : []) {
      // The id is made from the visitor's: a merge that is sent again counts once, also where nothing remembers the first.
      if (visitor !== user) this.#enqueue("identity_merged", { previousId: visitor }, undefined, `merged:${visitor}`);
    }
    const base = this.#tokens.available && this.#base;
    this.#subscription?.end();
    this.#subscription = null;
    this.#setRecord(null);
    this.#set("progress", null);
    this.#set("connection", user && base ? "connecting" : "off");
    if (!user || !base) return;
    void this.#ofUser.flush(); // what is left of an earlier visit of this user
    this.#subscription = new Subscription({
      base,
      user,
      tokens: this.#tokens,
      report: this.report,
      received: (kind, data) => {
        if (this.#followed === user) this.#receive(kind, data);
      },
      connected: (connection) => {
        if (this.#followed === user) this.#set("connection", connection);
      },
    });
    if (globalThis.document?.hidden) this.#subscription.pause(true);
  }

  /** The gateway sends what is newer, in order; a deletion or a job that began anew may have a lower version. */
  #receive(kind: Kind, data: unknown): void {
    const found = data === undefined ? null : read(kind, data);
    if (found === undefined) this.report(`The gateway sent an unreadable ${kind}`);
    else if (kind === "progress") this.#set("progress", found as Progress | null);
    else this.#setRecord(found as Recommendation | null);
  }

  #setRecord(record: Recommendation | null): void {
    clearTimeout(this.#expiry);
    if (!record && !this.record) return;
    this.record = record;
    const shown = record && record.uiComponent !== "none" ? record : null;
    const lifetime = shown ? Date.parse(shown.expiresAt ?? "") - Date.parse(shown.createdAt ?? "") : NaN;
    if (lifetime > 0) this.#expiry = setTimeout(() => this.#setRecord(null), Math.min(lifetime, LONGEST_TIMER));
    this.recommendation = shown;
    this.#events.emit("record", record);
    this.#events.emit("recommendation", shown);
  }

  #set<K extends "progress" | "connection">(what: K, value: ClientEvents[K]): void {
    if (value === this[what]) return;
    (this as Record<string, unknown>)[what] = value;
    this.#events.emit(what, value);
  }

  // ---------------------------------------------------------------------------------------------------------------------- page

  #listen(): void {
    const add = (target: EventTarget, name: string, act: (event: Event) => void): void => {
      listen(this.report, this.#cleanups, target, name, act, true);
    };
    let hidden: ReturnType<typeof setTimeout> | undefined;
    add(document, "visibilitychange", () => {
      clearTimeout(hidden);
      if (document.hidden) {
        this.#leave();
        hidden = setTimeout(() => this.#subscription?.pause(true), HIDDEN);
      } else {
        this.#subscription?.pause(false);
      }
    });
    add(window, "pagehide", () => {
      this.#leave(true);
      this.#subscription?.pause(true);
    });
    add(window, "pageshow", () => this.#subscription?.pause(false));
    add(window, "online", () => {
      void this.flush();
      this.#subscription?.hurry();
    });
    const library = (): Segment | undefined => (window as { analytics?: Segment }).analytics;
    const again = safe(this.report, () => this.#release());
    const ready = safe(this.report, () => {
      again();
      library()?.on?.("identify", again);
      library()?.on?.("reset", this.reset);
    });
    const loading = library();
    if (loading?.ready) {
      if (!this.#identity.known) {
        this.#held = [];
        setTimeout(again, SEGMENT);
      }
      safe(this.report, () => loading.ready?.(ready))();
    }
    if (this.#options.clicks !== false) {
      add(document, "click", (event) => this.#noticed(event, "click"));
      add(document, "submit", (event) => this.#noticed(event, "form"));
    }
    if (this.#options.pageViews !== false) {
      const look = safe(this.report, () => {
        if (this.#ended || (document as { prerendering?: boolean }).prerendering) return; // what is prerendered, nobody may ever see
        const path = this.#pathNow();
        if (path === this.#lastPath) return;
        this.#viewed();
        this.#lastPath = this.#newPath = path;
        this.#titleTimer = setTimeout(() => this.#viewed(), TITLE);
      });
      const seen = (): void => {
        this.#lastPath = null;
        look();
        this.#viewed();
      };
      seen();
      add(document, "prerenderingchange", seen);
      add(window, "pageshow", (event) => (event as PageTransitionEvent).persisted && seen());
      add(window, "popstate", look);
      const { navigation } = window as { navigation?: EventTarget };
      if (navigation) add(navigation, "currententrychange", look);
      else this.#watchHistory(look);
    }
  }

  /** Send the page view that waits for its title. */
  #viewed(): void {
    clearTimeout(this.#titleTimer);
    const path = this.#newPath;
    this.#newPath = null;
    if (path !== null) this.page(path);
  }

  /** See path changes of browsers without the Navigation API. */
  #watchHistory(look: () => void): void {
    for (const name of ["pushState", "replaceState"] as const) {
      const original = history[name];
      const watched: typeof original = function (this: History, ...given) {
        original.apply(this, given);
        queueMicrotask(look);
      };
      history[name] = watched;
      this.#cleanups.push(() => {
        if (history[name] === watched) history[name] = original;
      });
    }
  }

  #noticed(event: Event, what: "click" | "form"): void {
    const name = `data-onramp-${what}`;
    const element = event.target instanceof Element ? event.target.closest<HTMLElement>(`[${name}]`) : null;
    const value = element?.getAttribute(name);
    if (!element || !value) return;
    if (what === "form") this.send("form_submit", { form: value });
    else this.send("button_click", { target: value, label: cut(element.textContent.trim(), 200) });
  }

  #pathNow(): string {
    const here = globalThis.location as Location | undefined;
    return here ? (this.#options.path?.(here) ?? here.pathname) : "/";
  }
}

function address(host: unknown, report: Report): string | null {
  try {
    const url = new URL(host as string, globalThis.location?.href);
    if (typeof host === "string" && /^https?:$/.test(url.protocol)) return (url.origin + url.pathname).replace(/\/+$/, "");
  } catch {
    // Told below.
  }
  report("init needs a host, like https://onramp.example.com");
  return null;
}
