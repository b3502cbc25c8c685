/** Reads what the gateway answers. It comes over a network: anything that is not as documented is left out. */

import { cut } from "./text";
import type { Kind } from "./stream";
import type { Progress, Recommendation, Step } from "./types";

/** Characters; a text that is longer is not one for a tooltip. */
const LONGEST_TEXT = 4_000;
const MOST_STEPS = 100;

type Fields = Record<string, unknown>;

/** Return the record, null for a tombstone, or undefined for what is no record. */
export function read(kind: Kind, data: unknown): Recommendation | Progress | null | undefined {
  const fields = Object(data) as Fields;
  if (fields.deleted === true) return null;
  if (!Number.isSafeInteger(fields.version)) return undefined;
  return (kind === "progress" ? progress : recommendation)(fields);
}

function recommendation(data: Fields): Recommendation | undefined {
  const id = text(data.recommendationId);
  const component = text(data.uiComponent);
  if (component === null) return undefined;
  if (component !== "none" && (!id || text(data.message) === null)) return undefined;
  return {
    recommendationId: id ?? "",
    version: data.version as number,
    message: text(data.message) ?? "",
    uiComponent: component,
    propensity: typeof data.propensity === "number" ? data.propensity : null,
    ...texts(data, "deepLink", "stepId", "pathId", "trigger", "arm", "source", "reason", "createdAt", "expiresAt"),
  };
}

function progress(data: Fields): Progress | undefined {
  if (!Array.isArray(data.steps)) return undefined;
  const steps: Step[] = [];
  for (const each of data.steps.slice(0, MOST_STEPS) as unknown[]) {
    const { title, status, ...more } = Object(each) as Fields;
    const id = text(more.id);
    if (!id) continue;
    steps.push({ id, title: text(title) ?? id, status: status === "done" || status === "current" ? status : "open", ...texts(more, "link", "completedAt") });
  }
  return {
    version: data.version as number,
    steps,
    ...texts(data, "pathId", "pathTitle", "nextStep", "activatedAt", "updatedAt"),
  };
}

function text(value: unknown): string | null {
  return typeof value === "string" ? cut(value, LONGEST_TEXT) : null;
}

function texts<K extends string>(data: Fields, ...names: K[]): Record<K, string | null> {
  return Object.fromEntries(names.map((each) => [each, text(data[each])])) as Record<K, string | null>;
}
