// A visitor signs in, on pages that share one localStorage.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { createClient } from "../../../gateway/browser/onramp.mjs";
import { advance, fakeGateway, options } from "./harness.mjs";

const GLOBALS = ["window", "document", "location", "localStorage"];

let gateway;
let clients = [];
let full = false;

/** Its own keys are what it keeps, as those of localStorage are. */
class Area {
  getItem(name) {
    return Object.hasOwn(this, name) ? this[name] : null;
  }
  setItem(name, value) {
    if (full) throw new DOMException("full", "QuotaExceededError");
    this[name] = String(value);
  }
  removeItem(name) {
    delete this[name];
  }
}

/** Open a page. The one before is gone. */
function open(more) {
  for (const each of clients.splice(0)) each.destroy();
  globalThis.document = Object.assign(new EventTarget(), { hidden: false, title: "Title" });
  globalThis.window = Object.assign(new EventTarget(), { navigation: new EventTarget() });
  globalThis.location = { pathname: "/", href: "https://page.example/" };
  const client = createClient(options(gateway, { clicks: false, ...more }));
  clients.push(client);
  return client;
}

const types = () => gateway.stored.map((each) => each.eventType);

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.parse("2026-03-02T09:00:00Z") });
  gateway = fakeGateway();
  globalThis.localStorage = new Area();
  full = false;
});
afterEach(() => {
  for (const each of clients.splice(0)) each.destroy();
  for (const each of GLOBALS) delete globalThis[each];
  mock.timers.reset();
});

test("the id of a visitor who signed in is not used again, also when localStorage is full", async () => {
  open();
  await advance(1_000);
  full = true;
  open({ user: "u-1", token: async () => "token-1" });
  await advance(1_000);
  open();
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "identity_merged", "page_view", "page_view"]);
  const [first, , , next] = gateway.stored;
  assert.ok(first.anonymousId);
  assert.ok(next.anonymousId);
  assert.notEqual(next.anonymousId, first.anonymousId);
});
