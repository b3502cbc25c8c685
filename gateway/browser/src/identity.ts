import type { Store } from "./storage";
import { idOf } from "./text";

/** Return a random id of 128 bits. Not by `randomUUID`, which exists on secure pages only. */
export function randomId(): string {
  return crypto.getRandomValues(new BigUint64Array(2)).join("-");
}

/** Who the page's visitor is: the signed-in user, or an anonymous id that is kept until somebody signs in. */
export class Identity {
  #made = ""; // where localStorage keeps nothing

  readonly #store: Store;
  #given: string | null;

  constructor(
    store: Store,
    given: string | null,
  ) {
    this.#store = store;
    this.#given = given;
  }

  /** The user that the page named, or the one that Segment's library knows. */
  get user(): string | null {
    return this.#given ?? segment("id");
  }

  set user(user: string | null) {
    this.#given = user;
  }

  /** The visitor's id. Made when it is first needed. */
  anonymous(): string {
    const known = this.#known();
    if (known) return known;
    this.#made = randomId();
    this.#store.set("anonymous", this.#made);
    return this.#made;
  }

  /** The visitor's id if one was used, and not yet merged into a user. */
  unmerged(): string | null {
    const known = this.#known();
    return known && known !== this.#store.get("merged") ? known : null;
  }

  /** Remember that this visitor has become a user. */
  merged(id: string): void {
    this.#store.set("merged", id);
    this.#made = "";
    this.#store.remove("anonymous");
  }

  reset(): void {
    this.#given = null;
    this.#made = "";
    this.#store.remove("anonymous");
  }

  #known(): string | null {
    return segment("anonymousId") ?? (this.#made || this.#store.get("anonymous"));
  }
}

/** Ask Segment's library, if the page has one: both then speak of the same visitor. */
function segment(what: "id" | "anonymousId"): string | null {
  try {
    const { analytics } = globalThis as { analytics?: { user?: () => Record<string, (() => unknown) | undefined> } };
    return idOf(analytics?.user?.()[what]?.());
  } catch {
    return null; // it is still loading
  }
}
