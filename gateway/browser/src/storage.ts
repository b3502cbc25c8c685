/** localStorage, where there is one and it may be used: private windows, sandboxed frames and full disks refuse it. */
export class Store {
  readonly #prefix: string;
  readonly #wanted: boolean;

  constructor(
    prefix: string,
    wanted: boolean,
  ) {
    this.#prefix = prefix;
    this.#wanted = wanted;
  }

  get(name: string): string | null {
    return this.#use((area) => area.getItem(this.#prefix + name));
  }

  /** Where it is full, what is in memory is still sent. */
  set(name: string, value: string): void {
    this.#use((area) => area.setItem(this.#prefix + name, value));
  }

  remove(name: string): void {
    this.#use((area) => area.removeItem(this.#prefix + name));
  }

  /** Return the names that begin with `start`. */
  names(start: string): string[] {
    const full = this.#prefix + start;
    const found = this.#use(Object.keys) ?? [];
    return found.filter((each) => each.startsWith(full)).map((each) => each.slice(this.#prefix.length));
  }

  #use<R>(work: (area: Storage) => R): R | null {
    try {
      return this.#wanted ? work(localStorage) : null;
    } catch {
      return null;
    }
  }
}
