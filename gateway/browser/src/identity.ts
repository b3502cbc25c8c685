import type { Store } from "./storage";
import { idOf } from "./text";

/** Return a random id of 128 bits. Not by `randomUUID`, which exists on secure pages only. */
export function randomId(): string {
  return crypto.getRandomValues(new BigUint64Array(2)).join("-");
}

/** Ids of visitors of which this device remembers that they have become users. */
const MOST_MERGED = 50;

/** Who the page's visitor is: the signed-in user, or an anonymous id that is kept until somebody signs in. */
export class Identity {
  /** Both are for pages where localStorage keeps nothing. Otherwise it alone counts, since other tabs change it too. */
  #made = "";
  readonly #merged: string[] = [];

  readonly #store: Store;
  #given: string | null;
  readonly #kept: boolean;

  /** `kept`: whether the device remembers who has become a user. Else a visitor's id of Segment's library, which does, is not used. */
  constructor(
    store: Store,
    given: string | null,
    kept: boolean,
  ) {
    this.#store = store;
    this.#given = given;
    this.#kept = kept;
  }

  /** The user that the page named, or the one that Segment's library knows. */
  get user(): string | null {
    return this.#given ?? segment("id");
  }

  set user(user: string | null) {
    this.#given = user;
  }

  /** Whether Segment's library is there and knows the visitor. */
  get known(): boolean {
    return segment("anonymousId") !== null;
  }

  /** The visitor's id, which no user has. Made when it is first needed. */
  anonymous(): string {
    const [known] = this.unmerged();
    if (known) return known;
    const made = randomId();
    this.#store.set("anonymous", made);
    this.#made = this.#store.get("anonymous") === made ? "" : made;
    return made;
  }

  /** The visitor's ids that were not yet merged into a user: that of Segment's library, and our own. */
  unmerged(): string[] {
    const merged = this.#listed();
    const known = [this.#kept && segment("anonymousId"), this.#made || this.#store.get("anonymous")];
    return known.filter((each): each is string => !!each && !merged.includes(each));
  }

  /**
   * Remember that this visitor has become a user: the id is never used again here. A full localStorage can remove, but not remember.
   *
   * `safe`: whether other pages may know it, since the merge was answered, or is in localStorage. Else they have to send it too.
   */
  merged(id: string, safe: unknown): void {
    this.#merged.push(id);
    if (!safe) return;
    if (this.#store.get("anonymous") === id) this.#store.remove("anonymous");
    const all = [...new Set(this.#listed())];
    // Segment's library keeps its id, however many others were merged since.
    this.#store.set("merged", all.filter((each, index) => index >= all.length - MOST_MERGED || each === segment("anonymousId")).join("\n"));
  }

  reset(): void {
    this.#given = null;
    this.#made = "";
    this.#store.remove("anonymous");
  }

  #listed(): string[] {
    return [...(this.#store.get("merged") ?? "").split("\n"), ...this.#merged];
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
