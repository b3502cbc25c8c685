/** The ES module: a client with rendered guidance, and one without. Importing it touches nothing, so it may be imported on a server. */

import { Checklist } from "./checklist";
import { createClient, HeadlessClient } from "./client";
import { Guidance } from "./guidance";
import { reporter, safe } from "./safe";
import type { Client, Onramp, Options, UiOptions } from "./types";

export { createClient };
export type * from "./types";

let client: Client | null = null;
let rendered: { destroy(): void }[] = [];
let guidance: Guidance | null = null;

/** What the properties and methods of a client are as long as `init` was not called. */
const VALUES = { user: null, recommendation: null, record: null, progress: null, connection: "off" };
const ANSWERS = {
  send: "",
  track: undefined,
  page: undefined,
  identify: undefined,
  reset: undefined,
  shown: undefined,
  clicked: undefined,
  dismissed: undefined,
  isClosed: false,
  on: () => undefined,
  flush: Promise.resolve(),
};

function init(options: Options): Client {
  const report = reporter((options as Options | undefined)?.onError);
  safe(report, undefined, () => {
    destroy();
    const started = (client = createClient(options));
    if (typeof document === "undefined" || options.ui === false || !(started instanceof HeadlessClient)) return;
    const start = safe(report, undefined, () => {
      if (client === started) render(started, options.ui || {});
    });
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start, { once: true });
    else start();
  })();
  return client ?? onramp;
}

function render(started: HeadlessClient, ui: UiOptions): void {
  rendered = [(guidance = new Guidance(started, ui))];
  if (ui.checklist) rendered.push(new Checklist(started, ui));
}

function destroy(): void {
  for (const each of [...rendered.splice(0), client]) each?.destroy();
  client = guidance = null;
}

export const onramp = {
  init,
  destroy: safe(() => undefined, undefined, destroy),
  focus: safe(() => undefined, false, () => guidance?.focus() ?? false),
} as Onramp;

for (const [name, value] of Object.entries(VALUES)) {
  Object.defineProperty(onramp, name, { enumerable: true, get: () => client?.[name as keyof typeof VALUES] ?? value });
}
for (const [name, answer] of Object.entries(ANSWERS)) {
  const call = (...given: unknown[]): unknown => {
    const method = client?.[name as keyof typeof ANSWERS] as ((...given: unknown[]) => unknown) | undefined;
    return method ? method(...given) : answer;
  };
  Object.defineProperty(onramp, name, { enumerable: true, value: call });
}
