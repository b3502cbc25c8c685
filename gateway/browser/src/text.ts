/** Half an emoji (a lone surrogate) is no text: parsers of JSON refuse it, and with it the whole request. */

const REPLACEMENT = "\ufffd";

/** Return the first `most` characters. An emoji is one, and stays whole. */
export function cut(text: string, most: number): string {
  return [...text.slice(0, 2 * most)].slice(0, most).join("");
}

/** Return an id as a text that may be sent, or null for what is no id. */
export function idOf(id: unknown): string | null {
  const text = typeof id === "string" || typeof id === "number" ? String(id).replace(/\p{Surrogate}/gu, REPLACEMENT) : "";
  return text.trim() ? text : null;
}

/** Return what `JSON.stringify` made, without half an emoji in any name or value. It writes them as escapes, like `\ud83d`. */
export function mended(json: string): string {
  return json.replace(/\\(?:u(d[89a-f]..)|.)/g, (escape: string, half?: string) => (half ? REPLACEMENT : escape));
}
