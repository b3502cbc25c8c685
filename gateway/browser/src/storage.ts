/** localStorage, where there is one and it may be used: private windows, sandboxed frames and full disks refuse it. */
export class Store {
  readonly #area: Storage | null;

  readonly #prefix: string;

  constructor(
    prefix: string,
    wanted: boolean,
  ) {
    this.#prefix = prefix;
    this.#area = wanted ? localArea() : null;
  }

  get(name: string): string | null {
    try {
      return this.#area?.getItem(this.#prefix + name) ?? null;
    } catch {
      return null;
    }
  }

  set(name: string, value: string): void {
    try {
      this.#area?.setItem(this.#prefix + name, value);
    } catch {
      // It is full. What is in memory is still sent.
    }
  }

  remove(name: string): void {
    try {
      this.#area?.removeItem(this.#prefix + name);
    } catch {
      // Then it was not stored either.
    }
  }

  /** Return the names that begin with `start`. */
  names(start: string): string[] {
    try {
      const found = this.#area ? Object.keys(this.#area) : [];
      const full = this.#prefix + start;
      return found.filter((each) => each.startsWith(full)).map((each) => each.slice(this.#prefix.length));
    } catch {
      return [];
    }
  }
}

function localArea(): Storage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
