import { Backoff, refusal, retryAfter } from "./backoff";
import { parse, type Report } from "./safe";
import type { Store } from "./storage";
import { cut, mended } from "./text";
import type { Tokens } from "./tokens";
import type { Delivery } from "./types";

/** A queue never holds more: the oldest events are given up first. */
const MOST_EVENTS = 500;
const MOST_BYTES = 500_000;
/** One request. Browsers allow 64 KiB at once for requests that outlive their page, and one may be under way when the page ends. */
const BATCH_EVENTS = 50;
const BATCH_BYTES = 30_000;
/** The contract's limit for one event, its envelope included. */
const EVENT_BYTES = 34_000;
/** Milliseconds for which a merge is tried again, page by page, after the gateway refused it: a user may bind few visitors at a time. */
const DAY = 86_400_000;
/** Milliseconds since a sign-in for which a user's events wait for the merge of the visitor who signed in, if that has no token. */
const MERGE = 5_000;
/** Milliseconds: events of one moment travel together. */
const GATHER = 30;
/** Milliseconds without an answer after which a request is repeated. */
const PATIENCE = 20_000;

/** An event as it is sent. */
export interface Sent extends Record<string, unknown> {
  eventId: string;
  eventType: string;
  timestamp: string;
}

interface Item {
  id: string;
  text: string;
  event: Sent;
  /** Whether its five seconds were over when this page found it. */
  late: boolean;
}

/** How a queue proves who it is: with the publishable key, or with a user token, which may have to be asked for. */
export interface Credentials {
  /** Return the secret for events of `user`, or an empty text where there is none now. */
  get(user: unknown): Promise<string>;
  /** Forget a secret that was refused. Returns true, since another one may come; a key has no other. */
  refuse?(secret: string): boolean;
  /** Whether an event may be sent now: it may have to wait for its user, or for a merge. */
  may(event: Sent): boolean;
}

/**
 * Sends events in order until the gateway has acknowledged them.
 *
 * Each waiting event has an entry of its own in localStorage, so that several tabs never overwrite each other's. A tab that starts also
 * sends what others left; an event that is sent twice counts once, because its id is the same.
 */
export class Queue {
  #items: Item[] = [];
  #bytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | null = null;
  #underWay: Item[] = [];
  #limit = BATCH_EVENTS;
  /** What the last request was sent with. */
  #secret = "";
  /** The status of which the page was told last: it is told once, not at every attempt. */
  #refused = 0;
  #ended = false;
  readonly #backoff = new Backoff();

  readonly #name: string;
  readonly #url: string | null;
  readonly #credentials: Credentials;
  readonly #store: Store;
  readonly #report: Report;
  readonly #told: (delivery: Delivery) => void;

  constructor(
    name: string,
    url: string | null,
    credentials: Credentials,
    store: Store,
    report: Report,
    told: (delivery: Delivery) => void,
  ) {
    this.#name = name;
    this.#url = url;
    this.#credentials = credentials;
    this.#store = store;
    this.#report = report;
    this.#told = told;
    for (const each of store.names(name)) {
      const text = store.get(each);
      try {
        if (text) this.#push(each.slice(name.length), text);
      } catch {
        store.remove(each); // somebody else wrote it
      }
    }
    this.#items.sort((one, other) => (one.event.timestamp < other.event.timestamp ? -1 : 1));
    if (this.#items.length) this.#schedule(GATHER);
  }

  /** Accept one event. Its values are read now: what the page changes later changes nothing. Returns whether it waits here now. */
  add(event: Sent): boolean {
    if (!this.#url) return false; // the page was told at the start
    const text = JSON.stringify(event);
    if (size(text) > EVENT_BYTES) {
      this.#report("An event over 34 kB was not sent");
      return false;
    }
    const item = this.#push(event.eventId, text);
    this.#store.set(this.#name + item.id, item.text);
    this.#told({ event: item.event, state: "waiting" });
    this.hurry();
    return true;
  }

  /** Events may be sent now: send them, but not while waiting after a failure. */
  hurry(): void {
    if (this.#timer === undefined) this.#schedule(GATHER);
  }

  /**
   * Whether a merge into `user` waits here for which the user's events should wait too. With one of `tokens` they wait as long as it does,
   * and where a page before this one may have had a token they wait for the first of this page.
   */
  holds(user: unknown, tokens: Tokens | false): boolean {
    return this.#items.some(
      ({ event, late }) =>
        event.eventType === "identity_merged" && event.userId === user && (age(event) < MERGE || (this.#url && tokens && (tokens.secret ?? late))),
    );
  }

  /** Send now, also while waiting after a failure. */
  flush(): Promise<void> {
    return this.#send();
  }

  /** The page may end now: send what no request has yet. */
  leave(): void {
    if (!this.#sending) return void this.#send();
    const batch = this.#batch(this.#underWay);
    void this.#post(batch).then((response) => response?.ok && this.#remove(batch, "stored")); // they stay here until an answer is seen
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  /** What may be sent now. */
  get #ready(): Item[] {
    return this.#items.filter(({ event }) => this.#credentials.may(event));
  }

  #push(id: string, json: string): Item {
    const text = mended(json);
    const event = JSON.parse(text) as Sent;
    const item = { id, text, event, late: age(event) > MERGE };
    this.#items.push(item);
    this.#bytes += text.length;
    let lost = 0;
    while (this.#items.length > MOST_EVENTS || this.#bytes > MOST_BYTES) {
      this.#remove(this.#items.slice(0, 1), "refused");
      lost++;
    }
    if (lost) this.#report(`The queue is full; ${lost} old events were given up`);
    return item;
  }

  /** Take out those that are still here: a full queue may have given them up while their request was under way. */
  #remove(done: Item[], state: Delivery["state"]): void {
    const gone = done.filter((each) => this.#items.includes(each));
    this.#items = this.#items.filter((each) => !gone.includes(each));
    for (const each of gone) {
      this.#bytes -= each.text.length;
      const again = state === "refused" && each.event.eventType === "identity_merged" && age(each.event) < DAY;
      if (!again) this.#store.remove(this.#name + each.id); // else the next page finds it
      this.#told({ event: each.event, state });
    }
  }

  #schedule(after: number): void {
    if (this.#ended || this.#sending || !this.#url) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#send(), after);
  }

  #send(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending ??= this.#drain()
      .catch((error: unknown) => {
        this.#report("Sending events failed", error);
        return this.#backoff.next();
      })
      .then((wait) => {
        this.#sending = null;
        this.#underWay = [];
        if (this.#ready.length) this.#schedule(wait);
      });
    return this.#sending;
  }

  /** Send batch by batch until nothing is left, or something must be waited for. Returns for how many milliseconds. */
  async #drain(): Promise<number> {
    while (this.#ready.length && !this.#ended) {
      const batch = (this.#underWay = this.#batch());
      const response = await this.#post(batch);
      if (!response) return this.#backoff.next();
      const { status } = response;
      if (response.ok) {
        this.#backoff.reset();
        this.#limit = BATCH_EVENTS;
        this.#refused = 0;
        this.#remove(batch, "stored");
        continue;
      }
      const answer = await response.text().catch(() => "");
      const ofAnother = status === 403 && answer.includes('"userId"'); // the fault is the token's, and no event's
      if (ofAnother || status === 401) this.#credentials.refuse?.(this.#secret);
      if (status === 400 || status === 413 || (status === 403 && answer.includes('"rejected"') && !ofAnother)) {
        this.#settle(batch, answer);
      } else {
        if (status < 500 && status !== 429 && status !== this.#refused) this.#report(refusal((this.#refused = status)));
        return this.#backoff.next(retryAfter(response));
      }
    }
    return GATHER;
  }

  #batch(without: Item[] = []): Item[] {
    let bytes = 0;
    const batch: Item[] = [];
    for (const each of this.#ready.filter((one) => !without.includes(one)).slice(0, this.#limit)) {
      bytes += size(each.text) + 1;
      if (batch.length && bytes > BATCH_BYTES) break;
      batch.push(each);
    }
    return batch;
  }

  /** Events of the batch are at fault. Give up those that the gateway names, or find them by sending smaller batches. */
  #settle(batch: Item[], answer: string): void {
    const named = Object(parse(answer)) as Record<string, unknown>; // nothing, where a proxy answered
    const list = <T>(what: unknown): T[] => (Array.isArray(what) ? (what as T[]) : []);
    const stored = list<unknown>(named.stored);
    const places = list<{ index?: unknown } | null>(named.rejected).map((each) => each?.index);
    const faulty = batch.filter((_, index) => places.includes(index) || batch.length === 1);
    this.#remove(faulty, "refused");
    this.#remove(batch.filter((each) => stored.includes(each.id)), "stored");
    if (faulty.length) this.#report(`The gateway refused ${faulty.length} event(s): ${cut(answer, 500)}`);
    this.#limit = stored.length || faulty.length ? BATCH_EVENTS : Math.ceil(batch.length / 2);
  }

  /** Return the answer, or null without one: offline, the gateway is away, or there is no secret. A token that was refused is replaced once. */
  async #post(batch: Item[], again = true): Promise<Response | null> {
    if (!batch.length || !this.#url) return null;
    const secret = (this.#secret = await this.#credentials.get(batch[0]?.event.userId));
    if (!secret) return null;
    const body = `[${batch.map((each) => each.text).join(",")}]`;
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), PATIENCE);
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
        body,
        credentials: "omit",
        keepalive: true, // a request outlives its page
        signal: abort.signal,
      });
      if (response.status !== 401 || !again || !this.#credentials.refuse?.(secret)) return response;
    } catch {
      return null;
    } finally {
      clearTimeout(timer);
    }
    return this.#post(batch, false);
  }
}

/** Milliseconds since the event, or until it where the clock was set back. */
function age(event: Sent): number {
  return Math.abs(Date.now() - Date.parse(event.timestamp));
}

function size(text: string): number {
  return new TextEncoder().encode(text).length;
}
