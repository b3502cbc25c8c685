import { Backoff } from "./backoff";
import type { Sent } from "./queue";
import type { Report } from "./safe";
import { idOf } from "./text";

/** A token is renewed this many milliseconds before it ends. */
const EARLY = 30_000;
/** The page's server is not asked more often than this, also when every token is refused. */
const LEAST_PAUSE = 1_000;
/** Milliseconds after which it looks again whether the pause is over. */
const LOOK = 200;
/** The user's first token is late after so many milliseconds. */
const PATIENCE = 5_000;

/** Holds the token of the user of now, and asks the page for a new one when it is needed. One request at a time. */
export class Tokens {
  /** The last token; an empty text where there is none, or it was refused. Null until the user's first one has come, or is late. */
  secret: string | null = null;
  #ends = 0;
  #asked = 0;
  /** Milliseconds from one request to the next. It grows while no token is of use. */
  #pause = LEAST_PAUSE;
  #running: Promise<string> | null = null;
  readonly #backoff = new Backoff();
  /** The page is told of another user's token once, and again when a right one had come in between. */
  #told = false;

  readonly #ofUser: () => string | null;
  readonly #callback: (() => unknown) | undefined;
  readonly #report: Report;

  constructor(
    callback: (() => unknown) | undefined,
    ofUser: () => string | null,
    report: Report,
  ) {
    this.#callback = callback;
    this.#ofUser = ofUser;
    this.#report = report;
  }

  get available(): boolean {
    return typeof this.#callback === "function";
  }

  /** Events of others wait for their user. */
  may(event: Sent): boolean {
    return event.userId === this.#ofUser();
  }

  /** Return a token of `user`, or an empty text where the page gives none, or speaks of another user by now. */
  async get(user: unknown): Promise<string> {
    if (!user || user !== this.#ofUser()) return "";
    if (this.secret) {
      if (Date.now() < this.#ends) return this.secret;
      this.#backoff.reset(); // it was good to its end
    }
    const running = (this.#running ??= this.#ask(user));
    const token = await running;
    if (running === this.#running) {
      // Nobody has forgotten the user meanwhile.
      this.#running = null;
      this.secret = token;
      this.#ends = Date.now() + Math.max(lifetime(token) - EARLY, LEAST_PAUSE);
      this.#pause = LEAST_PAUSE;
      this.refuse(""); // none came
    }
    return token;
  }

  /** Forget a token that was refused, unless a newer one is here already. */
  refuse(token: string): boolean {
    if (this.secret === token) {
      this.secret = "";
      this.#pause = this.#backoff.next(LEAST_PAUSE);
    }
    return true;
  }

  /** Ask soon, also in a pause that has grown. */
  hurry(): void {
    this.#backoff.reset();
    this.#pause = LEAST_PAUSE;
  }

  /** The user leaves: a token that comes later is given to those who wait for it, and not kept. */
  forget(): void {
    this.secret = this.#running = null;
    this.hurry();
  }

  async #ask(user: unknown): Promise<string> {
    setTimeout(() => (this.secret ??= ""), PATIENCE);
    while (Date.now() < this.#asked + this.#pause) await new Promise((done) => setTimeout(done, LOOK)); // it may get shorter
    if (user !== this.#ofUser()) return "";
    this.#asked = Date.now();
    try {
      const token = await this.#callback?.();
      if (typeof token !== "string" || !/^[\w.~+/=-]{1,8192}$/.test(token)) {
        this.#report("token() must return the text that your server signed");
      } else if ((idOf(claims(token).sub) ?? user) === user) {
        this.#told = false;
        return token;
      } else if (user === this.#ofUser() && !this.#told) {
        this.#told = true;
        this.#report("token() returned the token of another user");
      }
    } catch (error) {
      this.#report("token() failed", error);
    }
    return "";
  }
}

/** How long a token lives in milliseconds, by its own times, so that a wrong clock of this machine does not matter. */
function lifetime(token: string): number {
  const { exp, iat } = claims(token);
  if (typeof exp !== "number") return Infinity; // use it until it is refused
  return (typeof iat === "number" ? exp - iat : exp - Date.now() / 1000) * 1000;
}

/** What a token says; nothing where it is not ours to read. */
function claims(token: string): Record<string, unknown> {
  try {
    const bytes = atob((token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/"));
    return Object(JSON.parse(decodeURIComponent(escape(bytes)))) as Record<string, unknown>; // the bytes are UTF-8
  } catch {
    return {};
  }
}
