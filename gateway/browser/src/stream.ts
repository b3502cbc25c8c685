import { Backoff, refusal, retryAfter } from "./backoff";
import { parse, type Report } from "./safe";
import type { Tokens } from "./tokens";
import type { Connection } from "./types";

/** Milliseconds. A stream without a byte for so long, heartbeats included, is dead, or something on the way holds it back. */
const SILENCE = 45_000;
const FIRST_BYTE = 10_000;
/** Attempts without a byte after which the page asks instead of listening. */
const ATTEMPTS = 3;
const POLL = 10_000;
/** Polls after which the stream is tried again. */
const POLLS = 12;
/** A gap in a stream's text that is larger than this is no message of ours. */
const LONGEST_MESSAGE = 1_000_000;

export type Kind = "recommendation" | "progress";

interface Target {
  base: string;
  user: string;
  tokens: Tokens;
  report: Report;
  /** Called with the decoded JSON of each message; undefined where there is no record. */
  received(kind: Kind, data: unknown): void;
  connected(connection: Connection): void;
}

/**
 * Follows one user: by server-sent events, read with fetch so that the token travels in a header, or by asking again and again.
 *
 * It ends when `end` is called. While the page is hidden it is paused: browsers allow few connections to a server.
 */
export class Subscription {
  readonly #backoff = new Backoff();
  readonly #etags: Partial<Record<Kind, string>> = {};
  #current: AbortController | null = null;
  #ended = false;
  #paused = false;
  #wake: (() => void) | null = null;
  #lastId = "";
  #heard = false;
  /** How many times until the page is told of a status. The first 401 may be a token that was revoked. */
  #left: Record<number, number> = { 401: 2, 403: 1 };

  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
    void this.#run();
  }

  /** Stop while the page is hidden, and go on when it is seen again. */
  pause(paused: boolean): void {
    if (this.#paused === paused) return;
    this.#paused = paused;
    if (paused) this.#current?.abort();
    else this.hurry();
  }

  /** Try again at once: the network is back. */
  hurry(): void {
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#current?.abort();
    this.hurry();
  }

  async #run(): Promise<void> {
    let silent = 0;
    while (!this.#ended) {
      if (this.#paused) {
        await this.#sleep(Infinity);
        continue;
      }
      if (silent >= ATTEMPTS) {
        silent = 0;
        this.#target.connected("polling");
        for (let turn = 0; turn < POLLS && !this.#ended && !this.#paused; turn++) {
          const wait = await this.#poll();
          await this.#sleep(Math.max(POLL, wait));
        }
        continue;
      }
      this.#heard = false;
      const wait = await this.#listen();
      if (this.#ended || this.#paused) continue;
      if (this.#heard) {
        silent = 0;
        this.#backoff.reset();
      } else {
        silent++;
      }
      this.#target.connected("connecting");
      await this.#sleep(this.#backoff.next(wait));
    }
  }

  /** Read one stream to its end. Returns for how many milliseconds the gateway asked us to wait. */
  #listen(): Promise<number> {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (this.#lastId) headers["last-event-id"] = this.#lastId;
    // Named, so that a token of another user opens no stream.
    return this.#request(`/v1/stream?userId=${encodeURIComponent(this.#target.user)}`, headers, async (response, wait) => {
      if (!response.ok || !response.body || !response.headers.get("content-type")?.startsWith("text/event-stream")) return;
      const reader = response.body.getReader();
      const parser = new EventParser((event, data, id) => this.#message(event, data, id));
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        wait(SILENCE);
        this.#heard = true;
        this.#left = { 401: 2, 403: 1 };
        this.#target.connected("stream");
        parser.push(value);
      }
    });
  }

  /**
   * Ask with the user's token, and let `read` take the answer; it may call `wait` for more time. Returns for how many milliseconds the
   * gateway asked us to wait.
   */
  async #request(
    path: string,
    more: Record<string, string>,
    read: (response: Response, wait: (milliseconds: number) => void) => Promise<void>,
  ): Promise<number> {
    const token = await this.#target.tokens.get(this.#target.user);
    if (!token || this.#ended || this.#paused) return 0;
    const abort = (this.#current = new AbortController());
    let timer: ReturnType<typeof setTimeout> | undefined;
    const wait = (milliseconds: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), milliseconds);
    };
    wait(FIRST_BYTE);
    try {
      const headers = { authorization: `Bearer ${token}`, ...more };
      const response = await fetch(this.#target.base + path, { headers, credentials: "omit", cache: "no-store", signal: abort.signal });
      const { status } = response;
      if (status in this.#left) {
        // Another token helps, unless the fault is the page's. Tell the page once what to look at.
        if (!(await response.text()).includes("origin_not_allowed")) this.#target.tokens.refuse(token);
        if (--(this.#left[status] as number) === 0) this.#target.report(refusal(status));
      }
      await read(response, wait);
      return retryAfter(response);
    } catch {
      return 0; // offline, or the connection broke, or was ended by us
    } finally {
      clearTimeout(timer);
      abort.abort();
      this.#current = null;
    }
  }

  #message(event: string, data: string, id: string): void {
    if (id) this.#lastId = id;
    // Null is no record: the page is told.
    if (event === "recommendation" || event === "progress") this.#target.received(event, parse(data) ?? null);
  }

  /** Ask for both records. Returns for how many milliseconds the gateway asked us to wait. */
  async #poll(): Promise<number> {
    let wait = 0;
    const user = encodeURIComponent(this.#target.user);
    for (const [kind, path] of [
      ["recommendation", `/v1/recommendations/${user}`],
      ["progress", `/v1/users/${user}/progress`],
    ] as const) {
      wait = Math.max(wait, await this.#ask(kind, path));
    }
    return wait;
  }

  #ask(kind: Kind, path: string): Promise<number> {
    const etag = this.#etags[kind];
    return this.#request(path, etag ? { "if-none-match": etag } : {}, async (response) => {
      if (response.status === 204 || response.status === 404) this.#target.received(kind, undefined);
      if (response.status !== 200) return;
      this.#target.received(kind, await response.json());
      const fresh = response.headers.get("etag");
      if (fresh) this.#etags[kind] = fresh;
    });
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((done) => {
      const timer = milliseconds === Infinity ? undefined : setTimeout(() => this.#wake?.(), milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        done();
      };
      if (this.#ended) this.#wake();
    });
  }
}

/** Reads the text format of server-sent events, in whatever pieces it arrives. */
export class EventParser {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id = "";

  readonly #message: (event: string, data: string, id: string) => void;

  constructor(message: (event: string, data: string, id: string) => void) {
    this.#message = message;
  }

  push(bytes: Uint8Array): void {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/); // a return at the end may be half a line break
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
    if (this.#rest.length + this.#data.join("").length > LONGEST_MESSAGE) throw new Error() /* caught in #request */;
  }

  #line(line: string): void {
    if (line === "") {
      if (this.#data.length) this.#message(this.#event || "message", this.#data.join("\n"), this.#id);
      this.#event = "";
      this.#data = [];
      return;
    }
    const [, name, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id" && !value.includes("\0")) this.#id = value;
  }
}
