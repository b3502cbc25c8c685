// A visitor signs in, on pages that share one localStorage.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { createClient } from "../../../gateway/browser/onramp.mjs";
import { advance, fakeGateway, json, options } from "./harness.mjs";

const GLOBALS = ["window", "document", "location", "localStorage", "history", "analytics"];

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

/** Open a page. The one before is gone. `page`: what its window has beside that, like `analytics`. */
function open(more, page = {}) {
  for (const each of clients.splice(0)) each.destroy();
  globalThis.document = Object.assign(new EventTarget(), { hidden: false, title: "Title" });
  globalThis.window = Object.assign(new EventTarget(), { navigation: new EventTarget(), ...page });
  globalThis.analytics = page.analytics;
  globalThis.location = { pathname: "/", href: "https://page.example/" };
  const client = createClient(options(gateway, { clicks: false, ...more }));
  clients.push(client);
  return client;
}

const leave = () => window.dispatchEvent(new Event("pagehide"));
const types = () => gateway.stored.map((each) => each.eventType);
const waiting = () => Object.keys(localStorage).filter((each) => /:[qu]:/.test(each)).length;
const never = () => new Promise(() => undefined);
const after = (milliseconds) => () => new Promise((done) => setTimeout(() => done("token-1"), milliseconds));

/** Segment's library. `tell` is what it tells its listeners by `on`. */
function library(ids) {
  const listeners = {};
  return {
    user: () => ({ id: () => ids.user, anonymousId: () => ids.visitor }),
    ready: (then) => then(),
    on: (name, then) => (listeners[name] = then),
    tell: (name) => listeners[name](),
  };
}

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

test("what a user did leaves with the page, also when the token is late and the next page is elsewhere", async () => {
  const client = open({ token: () => new Promise((done) => setTimeout(() => done("token-1"), 200)) });
  await advance(1_000);
  client.identify("u-1", { persona: "analyst" });
  client.send("signup");
  leave();
  await advance(50);
  assert.deepEqual(types(), ["page_view", "identify", "signup"]);
});

test("a merge whose token is there leaves before the user's events", async () => {
  const client = open({ token: async () => "token-1" });
  await advance(1_000);
  const answer = gateway.events;
  gateway.events = () => json(503, {}, { "retry-after": "60" });
  client.identify("u-1");
  client.send("signup");
  await advance(1_000);
  gateway.events = answer;
  leave();
  await advance(50);
  assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
});

test("once flush has resolved the page may be left: the merge is stored, and the user's events follow it", async () => {
  const client = open({ token: () => new Promise((done) => setTimeout(() => done("token-1"), 200)) });
  await advance(1_000);
  client.identify("u-1");
  client.send("signup");
  let flushed = false;
  void client.flush().then(() => {
    flushed = true;
    leave();
  });
  await advance(150);
  assert.equal(flushed, false);
  await advance(100);
  assert.equal(flushed, true);
  assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
});

test("after a page that ended without pagehide the next one sends the merge first", async () => {
  const client = open({ token: never });
  await advance(1_000);
  client.identify("u-1");
  client.send("signup");
  open({ user: "u-1", pageViews: false, token: async () => "token-1" });
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
  assert.equal(waiting(), 0);
});

test("a hidden page may be seen again: what localStorage keeps waits for the merge", async () => {
  const client = open({ token: () => new Promise((done) => setTimeout(() => done("token-1"), 800)) });
  await advance(1_000);
  client.identify("u-1");
  client.send("signup");
  document.hidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  await advance(2_000);
  assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
});

test("the five seconds of a merge go on from page to page", async () => {
  open();
  await advance(1_000);
  for (let n = 0; n < 5; n++) {
    open({ user: "u-1", pageViews: false, token: async () => { throw new Error("500"); } }).track(`on page ${n}`); // prettier-ignore
    await advance(4_000);
    assert.equal(gateway.stored.length, [1, 3, 4, 5, 6][n], `page ${n}`);
  }
});

test("the next page holds a user's events for what is left of the five seconds", async () => {
  const client = open({ token: never });
  await advance(1_000);
  client.identify("u-1");
  client.send("signup");
  await advance(3_000);
  open({ user: "u-1", pageViews: false, token: never });
  await advance(1_500);
  assert.deepEqual(types(), ["page_view"]);
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "signup"]);
  assert.equal(waiting(), 1, "the merge waits for a token");
});

const OUTAGES = { 503: () => json(503, {}), 429: () => json(429, {}), "a broken network": () => Promise.reject(new TypeError("Failed to fetch")) };
for (const [name, outage] of Object.entries(OUTAGES)) {
  test(`the merge comes first, also after ${name} for longer than five seconds`, async () => {
    const client = open({ token: async () => "token-1" });
    await advance(1_000);
    const answer = gateway.events;
    gateway.events = outage;
    client.identify("u-1");
    client.send("signup");
    await advance(20_000);
    const asked = gateway.posts.slice(1).flatMap(({ batch }) => batch.map((each) => each.eventType));
    assert.deepEqual([...new Set(asked)], ["identity_merged"]);
    gateway.events = answer;
    await advance(65_000, 500);
    assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
  });
}

test("the merge comes first, also when its answer takes longer than five seconds", async () => {
  const client = open({ token: async () => "token-1" });
  await advance(1_000);
  const answer = gateway.events;
  gateway.events = (batch) => {
    if (batch[0].eventType !== "identity_merged") return answer(batch);
    return new Promise((done) => setTimeout(() => done(answer(batch)), 8_000));
  };
  client.identify("u-1");
  client.send("signup");
  await advance(20_000);
  assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
});

test("a token that keeps being refused holds a user's events for five seconds", async () => {
  const client = open({ token: async () => "token-1" });
  await advance(1_000);
  const answer = gateway.events;
  gateway.events = (batch, authorization) => (authorization === "Bearer token-1" ? json(401, {}) : answer(batch));
  client.identify("u-1");
  client.send("signup");
  await advance(4_500);
  assert.deepEqual(types(), ["page_view"]);
  await advance(1_500);
  assert.deepEqual(types(), ["page_view", "signup"]);
});

test("a user who signed out during an outage holds nothing once the next one is there", async () => {
  let user = "u-1";
  const client = open({ token: async () => `of-${user}` });
  await advance(1_000);
  const answer = gateway.events;
  gateway.events = () => json(503, {});
  client.identify("u-1");
  client.send("signup");
  await advance(2_000);
  client.reset();
  user = "u-2";
  client.identify("u-2");
  client.send("preferences_changed", { guidance: true });
  await advance(2_000);
  gateway.events = answer;
  await advance(10_000);
  assert.deepEqual(gateway.stored.filter((each) => each.userId === "u-1").map((each) => each.eventType), ["signup"]);
});

/** A user signed in with a token while the gateway was away, and signed up; six seconds later the page is left, and the gateway is back. */
async function signInDuringOutage() {
  const client = open({ token: async () => "token-1" });
  await advance(1_000);
  const answer = gateway.events;
  gateway.events = () => json(503, {});
  client.identify("u-1");
  client.send("signup");
  await advance(6_000);
  client.destroy();
  await advance(100);
  gateway.events = answer;
}

for (const milliseconds of [60, 200, 3_000]) {
  test(`the merge comes first on the next page too, whose token takes ${milliseconds} ms`, async () => {
    await signInDuringOutage();
    open({ user: "u-1", pageViews: false, token: after(milliseconds) });
    await advance(10_000);
    assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
  });
}

test("the merge comes first on the next page too, whose user Segment's library knows once it is there", async () => {
  await signInDuringOutage();
  const ids = { user: null, visitor: null };
  const analytics = { ...library(ids), ready: (then) => setTimeout(then, 1_500) };
  open({ pageViews: false, token: after(200) }, { analytics });
  await advance(1_400);
  ids.user = "u-1";
  await advance(2_000);
  assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
});

test("a new page whose token fails sends a user's events without the merge", async () => {
  await signInDuringOutage();
  open({ user: "u-1", pageViews: false, token: async () => Promise.reject(new Error("500")) });
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "signup"]);
});

test("a new page whose token hangs holds a user's events for five seconds", async () => {
  await signInDuringOutage();
  open({ user: "u-1", pageViews: false, token: never });
  await advance(4_800);
  assert.deepEqual(types(), ["page_view"]);
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "signup"]);
});

test("a new page that has no token function does not hold a user's events", async () => {
  await signInDuringOutage();
  open({ user: "u-1", pageViews: false });
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "signup"]);
});

test("a destroyed client records nothing more, also if another library has wrapped its wrapper of history", async () => {
  const page = { navigation: undefined };
  globalThis.history = { pushState: (state, title, path) => (location.pathname = path), replaceState: () => undefined };
  const first = open({ token: async () => "token-1" }, page);
  const watched = history.pushState;
  history.pushState = (...given) => watched(...given);
  await advance(1_000);
  first.destroy();
  const second = createClient(options(gateway, { clicks: false, user: "u-1", token: async () => "token-1" }));
  clients.push(second);
  await advance(1_000);
  history.pushState(null, "", "/next");
  first.dismissed("r-1");
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "identity_merged", "page_view", "page_view"]);
  assert.equal(waiting(), 0, "the first one left nothing behind");
  assert.equal(localStorage.getItem("onramp:t_0123456789:anonymous"), null, "and made up no visitor");
  assert.equal(second.isClosed("r-1"), false);
});

test("a path function that throws costs page views and nothing else, and throws nothing into the page", async () => {
  const thrown = [];
  const listener = (error) => thrown.push(error);
  process.on("uncaughtException", listener);
  let path = () => {
    throw new Error("no path");
  };
  globalThis.history = { pushState: () => undefined, replaceState: () => undefined };
  const client = open({ user: "u-1", path: () => path() }, { navigation: undefined });
  client.track("x");
  await advance(500);
  assert.deepEqual(types(), ["track"]);
  assert.deepEqual(gateway.problems, ["Onramp failed: no path"]);
  history.pushState(null, "", "/a");
  await advance(500);
  path = () => "/b";
  history.pushState(null, "", "/b");
  await advance(500);
  process.off("uncaughtException", listener);
  assert.deepEqual(thrown, []);
  assert.deepEqual(types(), ["track", "page_view"]);
});

test("what the user decided before analytics.reset is sent at once, with that user's token", async () => {
  const ids = { user: "u-1", visitor: "v-1" };
  const analytics = library(ids);
  const client = open({ token: async () => `of-${ids.user}` }, { analytics });
  await advance(2_000);
  client.send("preferences_changed", { guidance: false });
  Object.assign(ids, { user: null, visitor: "v-2" });
  analytics.tell("reset");
  await advance(20, 10);
  assert.equal(gateway.stored.at(-1).eventType, "preferences_changed");
  assert.equal(gateway.posts.at(-1).authorization, "Bearer of-u-1");
  assert.equal(client.user, null);
});

test("what the user decided before somebody else signs in by analytics.identify is sent with that user's token", async () => {
  const ids = { user: "u-1", visitor: "v-1" };
  const analytics = library(ids);
  const client = open({ token: async () => `of-${ids.user}` }, { analytics });
  await advance(2_000);
  client.send("preferences_changed", { guidance: false });
  ids.user = "u-2";
  client.track("next"); // before the library tells it
  analytics.tell("identify");
  await advance(2_000);
  const sent = gateway.posts.find(({ batch }) => batch[0].eventType === "preferences_changed");
  assert.deepEqual([sent.batch[0].userId, sent.authorization], ["u-1", "Bearer of-u-1"]);
  assert.equal(gateway.stored.filter(({ eventType }) => eventType === "preferences_changed").length, 1);
  assert.equal(gateway.stored.find(({ name }) => name === "next").userId, "u-2");
});

test("analytics.reset signs out a user whom the page has named too", async () => {
  const ids = { user: "u-1", visitor: "v-1" };
  const analytics = library(ids);
  const client = open({ user: "u-1", token: async () => "token-1" }, { analytics });
  await advance(1_000);
  ids.user = null;
  analytics.tell("reset");
  client.track("x");
  await advance(1_000);
  assert.equal(client.user, null);
  assert.equal(gateway.stored.at(-1).userId, undefined);
});

test("in a full localStorage the next page sends a merge whose token was late", async () => {
  open();
  await advance(1_000);
  const [{ anonymousId }] = gateway.stored;
  full = true;
  open({ user: "u-1", token: never });
  await advance(1_000);
  leave();
  full = false;
  open({ user: "u-1", token: async () => "token-1" });
  await advance(1_000);
  const merges = gateway.stored.filter(({ eventType }) => eventType === "identity_merged");
  assert.deepEqual(merges.map(({ userId, payload }) => [userId, payload.previousId]), [["u-1", anonymousId]]);
  open();
  await advance(1_000);
  assert.notEqual(gateway.stored.at(-1).anonymousId, anonymousId);
});

test("once flush has resolved the page may be left, also while Segment's library loads", async () => {
  open();
  await advance(1_000);
  const client = open({ pageViews: false, token: after(200) }, { analytics: { ready: () => undefined } });
  client.identify("u-1");
  client.send("signup");
  let flushed = false;
  void client.flush().then(() => {
    flushed = true;
    leave();
  });
  await advance(150);
  assert.equal(flushed, false);
  await advance(100);
  assert.equal(flushed, true);
  assert.deepEqual(types(), ["page_view", "identity_merged", "signup"]);
});

test("with persist: false the id that Segment's library keeps is not used: nothing remembers that it has become a user", async () => {
  const analytics = library({ user: null, visitor: "v-1" });
  open({ user: "u-1", persist: false, token: async () => "token-1" }, { analytics });
  await advance(1_000);
  const client = open({ persist: false, token: async () => "token-2" }, { analytics });
  await advance(1_000);
  client.identify("u-2");
  await advance(1_000);
  assert.ok(types().includes("identity_merged"), "the visitor's own id is merged");
  for (const each of gateway.stored) assert.ok(each.anonymousId !== "v-1" && each.payload.previousId !== "v-1", JSON.stringify(each));
});

test("Segment's id of a visitor who became a user is not used again, also after many more", async () => {
  const analytics = library({ user: null, visitor: "v-1" });
  for (let n = 0; n < 60; n++) {
    const client = open({ token: async () => "token-1" }, { analytics });
    await advance(100);
    client.identify(`u-${n}`);
    await advance(100);
    client.reset();
  }
  open({}, { analytics });
  await advance(100);
  assert.deepEqual(gateway.stored.filter(({ payload }) => payload.previousId === "v-1").map(({ userId }) => userId), ["u-0"]);
  assert.notEqual(gateway.stored.at(-1).anonymousId, "v-1");
  assert.ok(localStorage.getItem("onramp:t_0123456789:merged").split("\n").length <= 51);
});
