import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { createClient } from "../../../gateway/browser/onramp.mjs";
import { advance, fakeGateway, json, KEY, options, settle } from "./harness.mjs";

let gateway;
let clients = [];

function start(more) {
  const client = createClient(options(gateway, more));
  clients.push(client);
  return client;
}

/** A token in the shape of a JWT; nothing is signed. */
function tokenOf(sub) {
  return `e30.${Buffer.from(JSON.stringify({ sub, iat: 0, exp: 900 })).toString("base64url")}.x`;
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.parse("2026-03-02T09:00:00Z") });
  gateway = fakeGateway();
});
afterEach(() => {
  for (const each of clients.splice(0)) each.destroy();
  mock.timers.reset();
});

test("events of one moment travel in one request, in order, with the publishable key", async () => {
  const client = start({ user: "u-1" });
  client.track("one", { n: 1 });
  client.page("/pricing", "Pricing");
  client.send("form_submit", { form: "company" });
  await advance(100);
  assert.equal(gateway.posts.length, 1);
  const [{ batch, authorization, keepalive }] = gateway.posts;
  assert.equal(authorization, `Bearer ${KEY}`);
  assert.equal(keepalive, true);
  assert.deepEqual(batch.map((each) => each.eventType), ["track", "page_view", "form_submit"]);
  assert.deepEqual(batch.map((each) => each.userId), ["u-1", "u-1", "u-1"]);
  assert.equal(batch[0].name, "one");
  assert.deepEqual(batch[1].payload, { path: "/pricing", title: "Pricing" });
  assert.equal(new Set(batch.map((each) => each.eventId)).size, 3);
  const times = batch.map((each) => each.timestamp);
  assert.deepEqual(times, [...new Set(times)].sort(), "events of one millisecond keep their order");
});

test("values are read when the event is sent, not later", async () => {
  const properties = { charts: 1 };
  start().track("saved", properties);
  properties.charts = 99;
  await advance(100);
  assert.equal(gateway.stored[0].payload.charts, 1);
});

test("half an emoji costs a character, and never the event", async () => {
  const client = start({ user: "u-1" });
  client.track("cut \ud83d", { "key \ude42": ["\ud83d deep", "\\ud83d is typed", "🙂"], "\ud83d\ud83d\ude42": 1 });
  client.identify("u-1", { firstName: "Ann\ud83d" });
  client.page("/\ude42", "\ud83d");
  await advance(100);
  const [track, identify, page] = gateway.stored;
  assert.equal(track.name, "cut \ufffd");
  assert.deepEqual(track.payload, { "key \ufffd": ["\ufffd deep", "\\ud83d is typed", "🙂"], "\ufffd🙂": 1 });
  assert.deepEqual(identify.payload, { traits: { firstName: "Ann\ufffd" } });
  assert.deepEqual(page.payload, { path: "/\ufffd", title: "\ufffd" });
});

test("a long title is cut between characters, of which an emoji is one", async () => {
  const client = start();
  client.page("/", `x${"🙂".repeat(1_200)}`);
  await advance(100);
  assert.equal(gateway.stored[0].payload.title, `x${"🙂".repeat(999)}`);
});

test("an unavailable gateway is asked again when it says, with the same ids", async () => {
  const client = start();
  gateway.events = () => json(503, {}, { "retry-after": "20" });
  const id = client.send("track", {}, "x");
  await advance(15_000);
  assert.equal(gateway.posts.length, 1, "it asked for twenty seconds");
  await advance(10_000);
  assert.equal(gateway.posts.length, 2);
  assert.equal(gateway.posts[1].batch[0].eventId, id);
});

test("without a network the waits grow, and everything arrives once there is one", async () => {
  const client = start();
  gateway.events = () => Promise.reject(new TypeError("Failed to fetch"));
  for (let n = 0; n < 3; n++) client.track(`n${n}`);
  await advance(60_000);
  const attempts = gateway.posts.length;
  assert.ok(attempts >= 5 && attempts <= 10, `${attempts} attempts in a minute`);
  client.track("n3");
  gateway.events = fakeGatewayEvents();
  await advance(61_000);
  assert.deepEqual(gateway.stored.map((each) => each.name), ["n0", "n1", "n2", "n3"]);
});

function fakeGatewayEvents() {
  return (batch) => {
    gateway.stored.push(...batch);
    return json(202, { stored: batch.map((each) => each.eventId) });
  };
}

test("flush does not wait for the end of a pause", async () => {
  const client = start();
  gateway.events = () => json(503, {}, { "retry-after": "300" });
  client.track("x");
  await advance(200);
  gateway.events = fakeGatewayEvents();
  await client.flush();
  assert.equal(gateway.stored.length, 1);
});

test("a partly stored batch gives up what the gateway names and repeats nothing", async () => {
  const client = start();
  gateway.events = (batch) => {
    const rejected = batch.flatMap((each, index) => (each.name === "bad" ? [{ index, eventId: each.eventId, faults: [] }] : []));
    const stored = batch.filter((each) => each.name !== "bad");
    gateway.stored.push(...stored);
    return rejected.length ? json(400, { code: "invalid_events", stored: stored.map((each) => each.eventId), rejected }) : json(202, {});
  };
  const states = [];
  client.on("delivery", ({ event, state }) => state !== "waiting" && states.push(`${event.name} ${state}`));
  for (const name of ["a", "bad", "b"]) client.track(name);
  await advance(5_000);
  assert.deepEqual(gateway.stored.map((each) => each.name), ["a", "b"]);
  assert.equal(gateway.posts.length, 1);
  assert.deepEqual(states.sort(), ["a stored", "b stored", "bad refused"]);
  assert.equal(gateway.problems.length, 1);
});

for (const status of [400, 413]) {
  test(`a ${status} that names nobody loses only the event at fault`, async () => {
    const client = start();
    gateway.events = (batch) => {
      if (batch.some((each) => each.name === "n5")) return new Response("<html>proxy</html>", { status });
      gateway.stored.push(...batch);
      return json(202, {});
    };
    for (let n = 0; n < 12; n++) client.track(`n${n}`);
    await advance(10_000);
    assert.deepEqual(gateway.stored.map((each) => each.name), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11].map((n) => `n${n}`));
  });
}

test("the queue is bounded: the oldest are given up, and the page is told", async () => {
  const client = start();
  gateway.events = () => Promise.reject(new TypeError("Failed to fetch"));
  for (let n = 0; n < 620; n++) client.track(`n${n}`);
  await advance(1_000);
  gateway.events = fakeGatewayEvents();
  await client.flush();
  await advance(1_000);
  assert.equal(gateway.stored.length, 500);
  assert.equal(gateway.stored[0].name, "n120");
  assert.ok(gateway.problems.some((each) => each.includes("full")));
  assert.ok(gateway.posts.every(({ batch }) => batch.length <= 50));
});

test("a request stays small enough to outlive its page", async () => {
  const client = start();
  for (let n = 0; n < 20; n++) client.track("big", { text: "é".repeat(5_000) });
  await advance(1_000);
  assert.equal(gateway.stored.length, 20);
  for (const { batch } of gateway.posts) assert.ok(Buffer.byteLength(JSON.stringify(batch)) < 31_000);
});

test("what cannot be sent is reported and never thrown", async () => {
  const client = start();
  const circular = {};
  circular.self = circular;
  client.track("circular", circular);
  assert.equal(client.send("track", { text: "x".repeat(40_000) }, "huge"), "");
  client.track("big integer", { n: 1n });
  client.track("getter", { get boom() { throw new Error("boom"); } }); // prettier-ignore
  client.send("user_deleted");
  client.send("preferences_changed", { guidance: false });
  client.send("step_completed", { step: "connect" });
  client.identify(undefined);
  client.track("fine");
  await advance(1_000);
  assert.deepEqual(gateway.stored.map((each) => each.name), ["fine"]);
  assert.equal(gateway.problems.length, 8, gateway.problems.join("\n"));
});

test("a page that gives nonsense gets a client that does nothing, and no error", async () => {
  const broken = [undefined, null, {}, { host: 7, key: KEY }, { host: "javascript:alert(1)", key: KEY }, { host: "https://x.example" }, 5];
  for (const each of broken) {
    const client = createClient(each);
    clients.push(client);
    client.track("x");
    client.identify("u-1", { persona: "analyst" });
    client.shown("r-1");
    client.on("progress", () => undefined)();
    client.reset();
    await client.flush();
    assert.equal(client.recommendation, null);
  }
  const loud = createClient({ host: "nowhere", key: "", onError: () => { throw new Error("the page's own"); } }); // prettier-ignore
  clients.push(loud);
  loud.track("x");
  await advance(1_000);
  assert.equal(gateway.posts.length, 0);
});

test("a revoked key is reported, and the events wait", async () => {
  const client = start();
  gateway.events = () => json(401, {});
  client.track("x");
  await advance(300);
  assert.match(gateway.problems[0], /401/);
  gateway.events = fakeGatewayEvents();
  await client.flush();
  assert.equal(gateway.stored.length, 1);
});

test("what keeps being refused is told once, and again when it had worked in between", async () => {
  const client = start();
  gateway.events = () => json(401, {});
  client.track("x");
  await advance(300_000, 1_000);
  assert.ok(gateway.posts.length > 5, `${gateway.posts.length} attempts`);
  assert.equal(gateway.problems.length, 1, gateway.problems.join("\n"));
  gateway.events = () => json(403, { code: "origin_not_allowed", message: "no" });
  await advance(300_000, 1_000);
  assert.equal(gateway.problems.length, 2, gateway.problems.join("\n"));
  gateway.events = fakeGatewayEvents();
  await client.flush();
  gateway.events = () => json(403, { code: "origin_not_allowed", message: "no" });
  client.track("y");
  await advance(300_000, 1_000);
  assert.equal(gateway.problems.length, 3, gateway.problems.join("\n"));
});

test("without onError the console is told", async (context) => {
  const said = [];
  context.mock.method(console, "warn", (text) => said.push(text));
  const client = start({ onError: undefined });
  gateway.events = () => json(401, {});
  client.track("x");
  await advance(120_000, 1_000);
  assert.equal(said.length, 1, said.join("\n"));
  assert.match(said[0], /^Onramp: .*401/);
});

test("a listener that throws harms nobody", async () => {
  const client = start();
  const seen = [];
  client.on("delivery", () => {
    throw new Error("the page's own");
  });
  const end = client.on("delivery", ({ state }) => seen.push(state));
  client.track("x");
  await advance(500);
  end();
  client.track("y");
  await advance(500);
  assert.deepEqual(seen, ["waiting", "stored"]);
});

test("what the user decided at the last moment is sent before the user is forgotten, with that user's token", async () => {
  const client = start({ user: "u-1", token: async () => "token-1" });
  client.send("preferences_changed", { guidance: false });
  client.reset();
  await advance(2_000);
  assert.deepEqual(gateway.stored.map((each) => [each.eventType, each.userId]), [["preferences_changed", "u-1"]]);
  assert.equal(gateway.posts[0].authorization, "Bearer token-1");
});

test("what a user could not send before signing out waits for that user, and nobody else's token sends it", async () => {
  let user = "u-1";
  const client = start({ user, token: async () => `of-${user}` });
  const states = [];
  client.on("delivery", ({ event, state }) => states.push(`${event.eventType} of ${event.userId} ${state}`));
  gateway.events = () => Promise.reject(new TypeError("Failed to fetch"));
  client.send("preferences_changed", { guidance: false });
  client.reset();
  await advance(2_000);
  gateway.events = fakeGatewayEvents();
  await advance(120_000, 1_000);
  user = "u-2";
  client.identify("u-2");
  client.send("preferences_changed", { guidance: true });
  await advance(120_000, 1_000);
  assert.deepEqual(gateway.stored.map((each) => each.userId), ["u-2"]);
  client.reset();
  user = "u-1";
  client.identify("u-1");
  await advance(2_000);
  assert.deepEqual(gateway.stored.map((each) => [each.userId, each.payload.guidance]), [["u-2", true], ["u-1", false]]);
  for (const { batch, authorization } of gateway.posts) {
    for (const each of batch) assert.equal(authorization, `Bearer of-${each.userId}`);
  }
  assert.deepEqual(states, [
    "preferences_changed of u-1 waiting",
    "preferences_changed of u-2 waiting",
    "preferences_changed of u-2 stored",
    "preferences_changed of u-1 stored",
  ]);
});

test("a token of another user sends nothing: it is told once, asked for again, and the event waits", async () => {
  let session = "u-Zoë 🙂";
  let asked = 0;
  const client = start({ user: "u-1", token: async () => (asked++, tokenOf(session)) });
  client.send("preferences_changed", { guidance: false });
  await advance(120_000, 1_000);
  assert.equal(gateway.posts.length, 0);
  assert.ok(gateway.asked.length === 0, "nothing is read with it either");
  assert.deepEqual(gateway.problems, ["token() returned the token of another user"]);
  assert.ok(asked > 5, `asked ${asked} times`);
  session = "u-1";
  await advance(120_000, 1_000);
  assert.deepEqual(gateway.stored.map((each) => [each.eventType, each.userId]), [["preferences_changed", "u-1"]]);
  assert.equal(gateway.problems.length, 1);
  client.reset();
  session = "u-Zoë 🙂";
  client.identify(session);
  client.send("step_completed", { step: "connect" });
  await advance(5_000);
  assert.equal(gateway.stored.at(-1).eventType, "step_completed", "a name beyond ASCII is compared as it is");
});

test("a token that nobody can read and that is of another user costs no event", async () => {
  let session = "u-2";
  const client = start({ user: "u-1", token: async () => `of-${session}` });
  const refused = [];
  client.on("delivery", ({ event, state }) => state === "refused" && refused.push(event.eventType));
  gateway.events = (batch, authorization) => {
    if (authorization === "Bearer of-u-1") return fakeGatewayEvents()(batch);
    const faults = [{ field: "userId", code: "forbidden", message: "the token belongs to another user; leave userId out" }];
    return json(403, { code: "forbidden", stored: [], rejected: batch.map((each, index) => ({ index, eventId: each.eventId, faults })) });
  };
  client.send("preferences_changed", { guidance: false });
  await advance(30_000, 1_000);
  assert.deepEqual(refused, []);
  assert.equal(gateway.problems.length, 1, gateway.problems.join("\n"));
  session = "u-1";
  await advance(120_000, 1_000);
  assert.deepEqual(gateway.stored.map((each) => each.eventType), ["preferences_changed"]);
});

/** A visitor who signs in as u-1 and signs up, on a page whose token comes when `token` resolves. */
async function signIn(token) {
  const client = start({ token });
  client.page("/pricing");
  await advance(1_000);
  client.identify("u-1", { persona: "analyst" });
  client.send("signup", { traits: {} });
  return client;
}

const types = () => gateway.stored.map((each) => each.eventType);

test("a user's events wait for the merge, so that the user keeps the visitor's experiment group", async () => {
  await signIn(() => new Promise((done) => setTimeout(() => done("token-1"), 200)));
  let answer;
  gateway.events = (batch) => new Promise((done) => (answer = () => done(fakeGatewayEvents()(batch))));
  await advance(1_000);
  assert.deepEqual(gateway.posts.at(-1).batch.map((each) => each.eventType), ["identity_merged"]);
  const posts = gateway.posts.length;
  await advance(1_000);
  assert.equal(gateway.posts.length, posts, "the merge is not acknowledged");
  gateway.events = fakeGatewayEvents();
  answer();
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "identity_merged", "identify", "signup"]);
  assert.equal(gateway.posts.at(-1).authorization, `Bearer ${KEY}`);
});

test("a token that does not come keeps a user's events for five seconds", async () => {
  const client = await signIn(() => new Promise(() => undefined));
  await advance(4_000);
  client.track("other");
  assert.deepEqual(types(), ["page_view"]);
  await advance(1_500);
  assert.deepEqual(types(), ["page_view", "identify", "signup", "track"]);
  client.track("at once");
  await advance(100);
  assert.equal(types().length, 5);
});

test("a merge that is refused keeps a user's events no longer", async () => {
  gateway.events = (batch) => {
    const [{ eventType, eventId }] = batch;
    if (eventType !== "identity_merged") return fakeGatewayEvents()(batch);
    return json(403, { code: "forbidden", stored: [], rejected: [{ index: 0, eventId, faults: [{ field: "payload.previousId" }] }] });
  };
  await signIn(async () => "token-1");
  await advance(1_000);
  assert.deepEqual(types(), ["page_view", "identify", "signup"]);
});

test("where nothing is kept for the next page, a user's events leave with the page before the merge", async () => {
  const client = await signIn(() => new Promise(() => undefined));
  client.destroy();
  await advance(100);
  assert.deepEqual(types(), ["page_view", "identify", "signup"]);
});

test("an origin that is not allowed costs no event", async () => {
  const client = start({ user: "u-1", token: async () => "token-1" });
  const refused = [];
  client.on("delivery", ({ event, state }) => state === "refused" && refused.push(event.eventType));
  gateway.events = () => json(403, { code: "origin_not_allowed", message: "this origin may not send requests for the tenant" });
  client.track("x");
  client.send("preferences_changed", { guidance: false });
  await advance(2_000);
  assert.deepEqual(refused, []);
  assert.match(gateway.problems[0], /403.*origin/);
  gateway.events = fakeGatewayEvents();
  await client.flush();
  assert.deepEqual(gateway.stored.map((each) => each.eventType).sort(), ["preferences_changed", "track"]);
});

test("an event of the user that is forbidden by itself is given up alone", async () => {
  const client = start({ user: "u-1", token: async () => "token-1" });
  gateway.events = (batch) => json(403, { code: "invalid_events", stored: [], rejected: batch.map((each, index) => ({ index, eventId: each.eventId })) });
  const states = [];
  client.on("delivery", ({ state }) => states.push(state));
  client.send("preferences_changed", { guidance: false });
  await advance(5_000);
  assert.deepEqual(states, ["waiting", "refused"]);
});

test("an event that was given up while its request was under way is told once, and the bound stays", async () => {
  const client = start();
  const states = {};
  client.on("delivery", ({ event, state }) => (states[event.name] ??= []).push(state));
  let answer;
  gateway.events = () => new Promise((done) => (answer = () => done(json(202, {}))));
  const big = "x".repeat(3_000);
  for (let n = 0; n < 10; n++) client.track(`a${n}`, { big });
  await advance(100);
  for (let n = 0; n < 200; n++) client.track(`b${n}`, { big });
  answer();
  gateway.events = () => Promise.reject(new TypeError("Failed to fetch"));
  await advance(100);
  for (let n = 0; n < 200; n++) client.track(`c${n}`, { big });
  for (const [name, told] of Object.entries(states)) {
    assert.ok(told.length === 1 || told.length === 2, `${name}: ${told}`);
    if (name.startsWith("a")) assert.deepEqual(told, ["waiting", "refused"], name);
  }
  const waiting = Object.values(states).filter((told) => told.length === 1).length;
  assert.ok(waiting * 3_000 < 500_000 && waiting * 3_300 > 450_000, `${waiting} events wait`);
});

test("after destroy nothing is sent any more and nothing throws", async () => {
  const client = start();
  client.track("last");
  client.destroy();
  await settle();
  assert.equal(gateway.posts.length, 1, "what was waiting leaves with the page");
  client.track("late");
  await advance(5_000);
  assert.equal(gateway.posts.length, 1);
});

test("what the user decided leaves with the page too, whose events are ended a moment later", async () => {
  const client = start({ user: "u-1", token: async () => "token-1" });
  client.send("preferences_changed", { guidance: false });
  client.destroy();
  await advance(5_000);
  assert.deepEqual(gateway.stored.map((each) => each.eventType), ["preferences_changed"]);
});
