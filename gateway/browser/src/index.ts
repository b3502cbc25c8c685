/** The ES module: a client with rendered guidance, and one without. Importing it touches nothing, so it may be imported on a server. */

import { Checklist } from "./checklist";
import { ANSWERS, createClient, type HeadlessClient } from "./client";
import { Guidance } from "./guidance";
import { Emitter, reporter, safe, type Report } from "./safe";
import type { Client, ClientEvents, Onramp, Options, UiOptions } from "./types";

export { createClient };
export type * from "./types";

/** What the properties of a client are as long as `init` was not called. */
const VALUES = { user: null, recommendation: null, record: null, progress: null, connection: "off" } as const;

let client: Client | null = null;
let rendered: { destroy(): void }[] = [];
let guidance: Guidance | null = null;
let report: Report = () => undefined;
/** Listeners of the page stay through `init` and `destroy`, so that a component may listen before the page has started. */
const events = new Emitter<ClientEvents>((...given) => report(...given));

function init(options: Options): Client {
  report = reporter((options as Options | undefined)?.onError);
  safe(report, () => {
    destroy();
    const started = (client = createClient(options, (what, value) => events.emit(what, value)));
    if (!globalThis.document || options.ui === false) return;
    const start = safe(report, () => {
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
  const ended = client;
  for (const each of [...rendered.splice(0), ended]) each?.destroy();
  client = guidance = null;
  if (!ended) return;
  for (const [what, value] of Object.entries(VALUES)) events.emit(what as keyof ClientEvents, value as never);
}

export const onramp = {} as Onramp;

for (const name of Object.keys(VALUES) as (keyof typeof VALUES)[]) {
  Object.defineProperty(onramp, name, { enumerable: true, get: () => client?.[name] ?? VALUES[name] });
}
for (const [name, answer] of Object.entries(ANSWERS)) {
  (onramp as unknown as Record<string, unknown>)[name] = (...given: unknown[]): unknown =>
    (client?.[name as keyof typeof ANSWERS] as ((...given: unknown[]) => unknown) | undefined)?.(...given) ?? answer;
}
Object.assign(onramp, {
  init,
  on: safe((...given) => report(...given), events.on.bind(events), () => undefined),
  destroy: safe(() => undefined, destroy),
  focus: safe(() => undefined, () => guidance?.focus() ?? false, false),
});
