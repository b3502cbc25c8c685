/** Nothing of ours may throw into the host page, and what went wrong must still be told. */

export type Report = (problem: string, error?: unknown) => void;

/** Return a function that tells `onError`, or the console where the page gives none, and never throws. */
export function reporter(onError: unknown = (problem: string) => console.warn(`Onramp: ${problem}`)): Report {
  return (problem, error) => {
    try {
      const cause = error instanceof Error ? `: ${error.message}` : "";
      if (typeof onError === "function") onError(problem + cause);
    } catch {
      // The page's own callback failed; there is nobody left to tell.
    }
  };
}

/** Return `work` without its errors: they are reported, and the call returns `otherwise`. */
export function safe<A extends unknown[], R>(report: Report, work: (...given: A) => R, otherwise: R): (...given: A) => R;
export function safe<A extends unknown[], R>(report: Report, work: (...given: A) => R): (...given: A) => R | undefined;
export function safe<A extends unknown[], R>(report: Report, work: (...given: A) => R, otherwise?: R) {
  return (...given: A) => {
    try {
      return work(...given);
    } catch (error) {
      report("Onramp failed", error);
      return otherwise;
    }
  };
}

/** Return what a text of JSON says; undefined where it is none. */
export const parse = safe(() => undefined, (text: string): unknown => JSON.parse(text));

/** Call `act` at an event until one calls `cleanups`. `first`: before the page's own listeners, which it can then not prevent. */
export function listen(
  report: Report,
  cleanups: (() => void)[],
  target: EventTarget,
  name: string,
  act: (event: Event) => void,
  first: boolean,
): void {
  const listener = safe(report, act);
  const how = { capture: first, passive: first };
  target.addEventListener(name, listener, how);
  cleanups.push(() => target.removeEventListener(name, listener, how));
}

/** Calls everybody who listens. A listener that throws does not keep the others from being called. */
export class Emitter<E> {
  #listeners: { [K in keyof E]?: Set<(value: E[K]) => void> } = {};

  readonly #report: Report;

  /** Called with every change, before the listeners. */
  readonly relay: <K extends keyof E>(what: K, value: E[K]) => void;

  constructor(report: Report, relay: Emitter<E>["relay"] = () => undefined) {
    this.#report = report;
    this.relay = relay;
  }

  on<K extends keyof E>(what: K, listener: (value: E[K]) => void): () => void {
    const all = (this.#listeners[what] ??= new Set());
    all.add(listener);
    return () => all.delete(listener);
  }

  emit<K extends keyof E>(what: K, value: E[K]): void {
    this.relay(what, value);
    for (const listener of [...(this.#listeners[what] ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        this.#report("A listener of Onramp failed", error);
      }
    }
  }

  clear(): void {
    this.#listeners = {};
  }
}
