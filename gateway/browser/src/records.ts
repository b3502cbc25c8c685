/** Reads what the gateway answers. It comes over a network: anything that is not as documented is left out. */

import { cut } from "./text";
import type { Progress, Recommendation, Step, StepStatus } from "./types";

/** Characters; a text that is longer is not one for a tooltip. */
const LONGEST_TEXT = 4_000;
const MOST_STEPS = 100;

type Fields = Record<string, unknown>;

/** Return the record, null for a tombstone, or undefined for what is no record. */
export function readRecommendation(data: unknown): Recommendation | null | undefined {
  if (!isObject(data)) return undefined;
  if (data.deleted === true) return null;
  const id = text(data.recommendationId);
  const component = text(data.uiComponent);
  if (component === null || !Number.isSafeInteger(data.version)) return undefined;
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

/** Return the progress, null for a tombstone, or undefined for what is none. */
export function readProgress(data: unknown): Progress | null | undefined {
  if (!isObject(data)) return undefined;
  if (data.deleted === true) return null;
  if (!Number.isSafeInteger(data.version) || !Array.isArray(data.steps)) return undefined;
  const steps: Step[] = [];
  for (const each of data.steps.slice(0, MOST_STEPS) as unknown[]) {
    const id = isObject(each) ? text(each.id) : null;
    if (!isObject(each) || !id) continue;
    const status: StepStatus = each.status === "done" || each.status === "current" ? each.status : "open";
    steps.push({ id, title: text(each.title) ?? id, link: text(each.link), status, completedAt: text(each.completedAt) });
  }
  return {
    version: data.version as number,
    steps,
    ...texts(data, "pathId", "pathTitle", "nextStep", "activatedAt", "updatedAt"),
  };
}

function isObject(data: unknown): data is Fields {
  return typeof data === "object" && data !== null && !Array.isArray(data);
}

function text(value: unknown): string | null {
  return typeof value === "string" ? cut(value, LONGEST_TEXT) : null;
}

function texts<K extends string>(data: Fields, ...names: K[]): Record<K, string | null> {
  return Object.fromEntries(names.map((each) => [each, text(data[each])])) as Record<K, string | null>;
}
