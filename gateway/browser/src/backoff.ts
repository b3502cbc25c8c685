/** Milliseconds of the first wait and of the longest one. */
const FIRST = 500;
const LONGEST = 60_000;
/** A server that asks for more than this is asked again after this. */
const LONGEST_ASKED = 300_000;

/** How long to wait before the next attempt: twice as long each time, and between half and all of it, so that pages do not come at once. */
export class Backoff {
  #failures = 0;

  next(retryAfter = 0): number {
    const bound = Math.min(LONGEST, FIRST * 2 ** this.#failures++);
    return Math.max(Math.min(retryAfter, LONGEST_ASKED), bound * (0.5 + Math.random() / 2));
  }

  reset(): void {
    this.#failures = 0;
  }
}

/** Read `Retry-After`, in seconds or as a date, as milliseconds. */
export function retryAfter(response: Response): number {
  const text = response.headers.get("retry-after") ?? "";
  const asked = Number(text) * 1000 || Date.parse(text) - Date.now();
  return asked > 0 ? asked : 0;
}

/** What to tell the page of an answer that only its owner can change. */
export function refusal(status: number): string {
  return `The gateway answered ${status}; check key, token (user, aud, exp) and origin`;
}
