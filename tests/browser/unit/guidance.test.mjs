import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { createClient, onramp } from "../../../gateway/browser/onramp.mjs";
import { advance, fakeGateway, json, message, options, pushStream, recommendation, settle } from "./harness.mjs";

let gateway;
let clients = [];

function start(more) {
  const client = createClient(options(gateway, more));
  clients.push(client);
  return client;
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.parse("2026-03-02T09:00:00Z") });
  gateway = fakeGateway();
});
afterEach(async () => {
  for (const each of clients.splice(0)) each.destroy();
  await settle();
  mock.timers.reset();
});

test("importing it on a server touches nothing, and rendering nothing is all it does there", () => {
  assert.equal(globalThis.window, undefined);
  assert.equal(onramp.user, null);
  assert.equal(onramp.recommendation, null);
  assert.equal(onramp.connection, "off");
  assert.equal(onramp.focus(), false);
  assert.equal(onramp.send("track"), "");
  onramp.on("progress", () => undefined)();
  const client = onramp.init(options(gateway, { user: "u-1" }));
  assert.equal(client.user, "u-1");
  assert.equal(onramp.user, "u-1");
  onramp.destroy();
  assert.equal(onramp.user, null);
});

test("the stream is read with the token in a header, wherever its bytes are cut", async () => {
  const first = recommendation("r-1", 1, { message: "Größe prüfen – 文 🙂" });
  const text = `: hello\r\n\r\n${message("recommendation", first).replaceAll("\n", "\r\n")}event: progress\rdata: {"version":1,\rdata: "steps":[]}\r\r\n`;
  const bytes = new TextEncoder().encode(text);
  for (let cut = 1; cut < bytes.length; cut++) {
    const stream = pushStream();
    gateway.stream = () => stream.response();
    const client = start({ user: "u-1", token: async () => "token-1" });
    await advance(1);
    stream.write(bytes.slice(0, cut));
    await advance(1);
    stream.write(bytes.slice(cut));
    await advance(1);
    assert.equal(client.recommendation?.message, first.message, `cut at ${cut}`);
    assert.deepEqual(client.progress?.steps, [], `cut at ${cut}`);
    assert.equal(client.connection, "stream");
    client.destroy();
  }
  assert.ok(gateway.asked.every(({ path, headers }) => path === "/v1/stream" && headers.authorization === "Bearer token-1"));
});

test("a withdrawal and a tombstone show nothing, whatever their version", async () => {
  const stream = pushStream();
  gateway.stream = () => stream.response();
  const client = start({ user: "u-1", token: () => "t" });
  const seen = [];
  client.on("recommendation", (each) => seen.push(each?.recommendationId ?? null));
  await advance(1);
  stream.write(message("recommendation", recommendation("r-2", 2)));
  await advance(1);
  assert.equal(client.recommendation.recommendationId, "r-2");
  stream.write(message("recommendation", { version: 3, uiComponent: "none", reason: "step_completed" }));
  await advance(1);
  assert.equal(client.recommendation, null);
  assert.equal(client.record.reason, "step_completed");
  stream.write(message("recommendation", recommendation("r-4", 4)));
  stream.write(message("recommendation", { version: 2, deleted: true })); // a deletion beats every version
  await advance(1);
  assert.equal(client.record, null);
  assert.deepEqual(seen, ["r-2", null, "r-4", null]);
});

test("what is not as documented is left out", async () => {
  const stream = pushStream();
  gateway.stream = () => stream.response();
  const client = start({ user: "u-1", token: () => "t" });
  await advance(1);
  for (const odd of ["[]", "null", "7", '{"version":"1"}', '{"version":9,"uiComponent":7}', "{", '{"version":9,"uiComponent":"modal","message":{}}']) {
    stream.write(`event: recommendation\ndata: ${odd}\n\n`);
  }
  stream.write(`event: surprise\ndata: {}\n\n`);
  stream.write(message("progress", { version: 1, steps: [null, 7, { title: "no id" }, { id: "a", status: "odd", link: 7 }] }));
  await advance(1);
  assert.equal(client.recommendation, null);
  assert.deepEqual(client.progress.steps, [{ id: "a", title: "a", link: null, status: "open", completedAt: null }]);
});

test("a text that is too long for a tooltip is cut between characters", async () => {
  const stream = pushStream();
  gateway.stream = () => stream.response();
  const client = start({ user: "u-1", token: () => "t" });
  await advance(1);
  stream.write(message("recommendation", recommendation("r-1", 1, { message: `x${"🙂".repeat(5_000)}` })));
  await advance(1);
  assert.equal(client.recommendation.message, `x${"🙂".repeat(3_999)}`);
});

test("a user id with half an emoji is a text all the same, from the page and from Segment's library", async () => {
  gateway.stream = () => json(404, {});
  const client = start({ user: "u-\ud83d", token: () => "t" });
  await advance(60_000, 1_000);
  assert.equal(client.user, "u-\ufffd");
  assert.equal(client.connection, "polling");
  assert.ok(gateway.asked.some(({ path }) => path === "/v1/recommendations/u-%EF%BF%BD"));
  client.identify("u-\ud83d");
  await advance(100);
  assert.equal(client.connection, "polling", "it is the same user");
  globalThis.analytics = { user: () => ({ id: () => "s-\ud83d", anonymousId: () => "ajs-1" }), ready: () => undefined };
  try {
    assert.equal(start({ token: () => "t" }).user, "s-\ufffd");
  } finally {
    delete globalThis.analytics;
  }
});

test("a record is forgotten when its time is over", async () => {
  const stream = pushStream();
  gateway.stream = () => stream.response();
  const client = start({ user: "u-1", token: () => "t" });
  await advance(1);
  const times = { createdAt: "2025-01-01T00:00:00Z", expiresAt: "2025-01-01T00:00:20Z" }; // log time: only its length counts here
  stream.write(message("recommendation", recommendation("r-1", 1, times)));
  await advance(15_000, 1_000);
  assert.equal(client.recommendation.recommendationId, "r-1");
  await advance(10_000, 1_000);
  assert.equal(client.recommendation, null);
});

test("a stream that breaks is opened again, and tells what was seen last", async () => {
  let stream = pushStream();
  gateway.stream = () => stream.response();
  const client = start({ user: "u-1", token: () => "t" });
  await advance(1);
  stream.write(message("recommendation", recommendation("r-7", 7)));
  await advance(1);
  const old = stream;
  stream = pushStream();
  old.close();
  await advance(1_000);
  stream.write(message("recommendation", recommendation("r-8", 8)));
  await advance(1);
  assert.equal(client.recommendation.recommendationId, "r-8");
  assert.equal(gateway.asked.at(-1).headers["last-event-id"], "7");
});

test("a stream without a heartbeat is given up", async () => {
  let opened = 0;
  gateway.stream = () => {
    opened++;
    const stream = pushStream();
    stream.write(": hello\n\n");
    return stream.response();
  };
  start({ user: "u-1", token: () => "t" });
  await advance(44_000, 1_000);
  assert.equal(opened, 1);
  await advance(4_000, 500);
  assert.equal(opened, 2);
});

test("a token that is refused is replaced at once, for reading and for sending", async () => {
  let minted = 0;
  const stream = pushStream();
  gateway.stream = (headers) => (headers.authorization === "Bearer t2" ? stream.response() : json(401, {}));
  gateway.events = (batch, authorization) => {
    if (authorization === "Bearer t1") return json(401, {});
    gateway.stored.push(...batch);
    return json(202, {});
  };
  const client = start({ user: "u-1", token: async () => `t${++minted}` });
  client.send("preferences_changed", { guidance: true });
  await advance(5_000);
  stream.write(": hello\n\n");
  await advance(10);
  assert.equal(client.connection, "stream");
  assert.equal(gateway.stored.length, 1);
  assert.equal(minted, 2);
});

test("a token that comes after its user has left is not the next user's", async () => {
  const pending = [];
  const client = start({ user: "a", token: () => new Promise((done) => pending.push(done)) });
  await advance(10);
  client.identify("b");
  await advance(2_000);
  assert.equal(pending.length, 2, "b has a request of its own");
  pending[0]("of-a");
  await advance(10);
  client.send("preferences_changed", { guidance: true });
  await advance(2_000);
  assert.deepEqual(gateway.asked.concat(gateway.posts), [], "nobody uses the token of a");
  pending[1]("of-b");
  await advance(2_000);
  assert.equal(gateway.asked[0].headers.authorization, "Bearer of-b");
  assert.equal(gateway.posts[0].authorization, "Bearer of-b");
  assert.equal(pending.length, 2);
});

test("the stream is asked for by name, so that a token of somebody else opens none", async () => {
  start({ user: "u 1/ü", token: () => "t" });
  await advance(10);
  assert.equal(gateway.asked[0].path + gateway.asked[0].search, "/v1/stream?userId=u%201%2F%C3%BC");
});

for (const [status, hint] of [[401, /401.*(key|aud)/], [403, /403.*user.*origin/]]) {
  test(`a page that may not read (${status}) is told once what to check`, async () => {
    gateway.stream = gateway.read = () => json(status, {});
    start({ user: "u-1", token: () => "t" });
    await advance(200_000, 1_000);
    assert.ok(gateway.asked.some(({ path }) => path !== "/v1/stream"), "it polls as well");
    assert.equal(gateway.problems.length, 1, gateway.problems.join("\n"));
    assert.match(gateway.problems[0], hint);
  });
}

test("a stream that is refused for a token of somebody else asks for another one", async () => {
  const made = [];
  gateway.stream = ({ authorization }) => (authorization === "Bearer of-u-1" ? pushStream().response() : json(403, {}));
  const client = start({ user: "u-1", token: () => (made.push(made.length ? "of-u-1" : "of-u-2"), made.at(-1)) });
  await advance(10_000);
  assert.deepEqual(made, ["of-u-2", "of-u-1"]);
  assert.equal(client.connection, "connecting", "a stream without a byte");
});

test("a token is not asked for again where the origin is refused", async () => {
  let asked = 0;
  gateway.events = gateway.stream = gateway.read = () => json(403, { code: "origin_not_allowed", message: "no" });
  start({ user: "u-1", token: () => `t${++asked}` }).send("preferences_changed", { guidance: false });
  await advance(600_000, 500);
  assert.ok(gateway.asked.length > 20, `asked the gateway ${gateway.asked.length} times`);
  assert.equal(asked, 1);
});

const USELESS = {
  "the gateway refuses": () => "of-u-2",
  "is another user's": () => `e30.${Buffer.from('{"sub":"u-2"}').toString("base64url")}.x`,
  fails: () => Promise.reject(new Error("500")),
};
for (const [name, token] of Object.entries(USELESS)) {
  test(`a token that ${name} is asked for with pauses of up to a minute, and at once by flush`, async () => {
    let asked = 0;
    gateway.stream = gateway.read = () => json(403, { code: "forbidden" });
    gateway.events = (batch) => json(403, { code: "forbidden", rejected: batch.map((_, index) => ({ index, faults: [{ field: "userId" }] })) });
    const client = start({ user: "u-1", token: () => (asked++, token()) });
    client.send("preferences_changed", { guidance: false });
    await advance(600_000, 500);
    assert.ok(asked >= 10 && asked <= 30, `asked ${asked} times in ten minutes`);
    const before = asked;
    void client.flush();
    await advance(2_000);
    assert.ok(asked > before, "flush asks");
  });
}

test("a single token that is refused is replaced without a word", async () => {
  let calls = 0;
  const stream = pushStream();
  gateway.stream = () => (calls++ ? stream.response() : json(401, {}));
  start({ user: "u-1", token: () => `t${calls}` });
  await advance(3_000);
  assert.equal(calls, 2);
  assert.deepEqual(gateway.problems, []);
});

test("tokens that are revoked one by one, days apart, are replaced without a word", async () => {
  let refused = "";
  const streams = [];
  gateway.stream = (headers) => {
    if (headers.authorization === refused) return json(401, {});
    streams.push({ ...pushStream(), authorization: headers.authorization });
    return streams.at(-1).response();
  };
  let made = 0;
  start({ user: "u-1", token: () => `t${made++}` });
  for (let day = 1; day <= 3; day++) {
    await advance(5_000);
    assert.equal(streams.length, day);
    streams.at(-1).write(": hello\n\n");
    await advance(1_000);
    refused = streams.at(-1).authorization;
    streams.at(-1).close();
  }
  await advance(5_000);
  assert.equal(made, 4);
  assert.deepEqual(gateway.problems, []);
});

test("a token is renewed before it ends, by its own times and not by this machine's clock", async () => {
  const made = [];
  const token = () => {
    const iat = 1_000_000; // as if the clock of this machine were years ahead
    made.push(`e30.${Buffer.from(JSON.stringify({ iat, exp: iat + 120, n: made.length })).toString("base64url")}.x`);
    return made.at(-1);
  };
  gateway.read = () => json(204);
  start({ user: "u-1", token });
  await advance(60_000, 500);
  assert.equal(made.length, 1);
  await advance(60_000, 500);
  assert.equal(made.length, 2);
});

test("a callback that fails or returns no token is reported, and asked again later", async () => {
  const answers = [() => Promise.reject(new Error("offline")), () => 7, () => "two words", () => "good"];
  let calls = 0;
  const stream = pushStream();
  gateway.stream = () => stream.response();
  const client = start({ user: "u-1", token: () => answers[Math.min(calls++, 3)]() });
  await advance(60_000, 500);
  stream.write(": hello\n\n");
  await advance(20, 10);
  assert.ok(gateway.problems.length >= 3);
  assert.ok(calls >= 4 && calls < 20, `${calls} calls`);
  assert.notEqual(client.connection, "off");
});

test("where the stream does not get through, the page asks, and takes nothing twice", async () => {
  gateway.stream = () => json(404, {});
  let version = 1;
  gateway.read = (path, headers) => {
    if (path.endsWith("/progress")) return json(404, {});
    if (headers["if-none-match"] === `"${version}"`) return json(304);
    return json(200, recommendation(`r-${version}`, version), { etag: `"${version}"` });
  };
  const client = start({ user: "u 1/ü", token: () => "t" });
  const seen = [];
  client.on("recommendation", (each) => seen.push(each.recommendationId));
  await advance(30_000, 250);
  version = 2;
  await advance(15_000, 250);
  assert.equal(client.connection, "polling");
  assert.deepEqual(seen, ["r-1", "r-2"]);
  assert.ok(gateway.asked.some(({ path }) => path === "/v1/recommendations/u%201%2F%C3%BC"));
  const streams = gateway.asked.filter(({ path }) => path === "/v1/stream").length;
  await advance(180_000, 500);
  assert.ok(gateway.asked.filter(({ path }) => path === "/v1/stream").length > streams, "the stream is tried again");
});

test("outcomes are reported once, and with one id from every tab", async () => {
  const [one, other] = [start({ user: "u-1" }), start({ user: "u-1" })];
  for (const client of [one, other]) {
    client.shown("r-1.arm.mac");
    client.shown("r-1.arm.mac");
    client.clicked("r-1.arm.mac");
    client.dismissed("r-1.arm.mac");
    client.dismissed("r-1.arm.mac");
  }
  assert.equal(one.isClosed("r-1.arm.mac"), true);
  assert.equal(one.isClosed("r-2.arm.mac"), false);
  await advance(500);
  assert.equal(gateway.stored.length, 6);
  assert.equal(new Set(gateway.stored.map((each) => each.eventId)).size, 3);
  assert.ok(gateway.stored.every((each) => each.payload.recommendationId === "r-1.arm.mac"));
  assert.deepEqual(new Set(gateway.stored.map((each) => each.eventType)), new Set(["recommendation_shown", "recommendation_clicked", "recommendation_dismissed"]));
  one.shown("__proto__");
  one.shown("r".repeat(200));
  await advance(500);
  assert.ok(gateway.stored.every((each) => each.eventId.length <= 128));
});

test("a visitor who signs in is merged once, with the user's token", async () => {
  const client = start({ token: () => "token-1" });
  client.page("/pricing");
  await advance(200);
  const [{ anonymousId, userId }] = gateway.stored;
  assert.ok(anonymousId);
  assert.equal(userId, undefined);
  client.identify("u-9", { persona: "analyst" });
  client.identify("u-9");
  await advance(2_000);
  const merges = gateway.posts.filter(({ batch }) => batch.some((each) => each.eventType === "identity_merged"));
  assert.equal(merges.length, 1);
  assert.equal(merges[0].authorization, "Bearer token-1");
  assert.deepEqual(merges[0].batch[0].payload, { previousId: anonymousId });
  assert.equal(merges[0].batch[0].eventId, `merged:${anonymousId}`);
  assert.equal(merges[0].batch[0].userId, "u-9");
  const identify = gateway.stored.find((each) => each.eventType === "identify");
  assert.deepEqual([identify.userId, identify.payload], ["u-9", { traits: { persona: "analyst" } }]);
  client.reset();
  client.page("/bye");
  await advance(200);
  assert.notEqual(gateway.stored.at(-1).anonymousId, anonymousId);
  assert.equal(gateway.stored.at(-1).userId, undefined);
});

test("ids of Segment's library are used where the page has it", async () => {
  globalThis.analytics = { user: () => ({ id: () => null, anonymousId: () => "ajs-1" }), ready: () => undefined };
  try {
    const client = start({ token: () => "t" });
    client.track("one");
    await advance(100);
    assert.equal(gateway.stored[0].anonymousId, "ajs-1");
    globalThis.analytics.user = () => ({ id: () => "u-5", anonymousId: () => "ajs-1" });
    client.track("two");
    await advance(100);
    assert.equal(gateway.stored[1].userId, "u-5");
    assert.equal(client.user, "u-5");
    assert.equal(client.connection, "connecting");
  } finally {
    delete globalThis.analytics;
  }
});

test("after destroy a user of Segment's library is not followed", async () => {
  globalThis.analytics = { user: () => ({ id: () => null, anonymousId: () => "ajs-1" }), ready: () => undefined };
  try {
    const client = start({ token: () => "t" });
    client.destroy();
    globalThis.analytics.user = () => ({ id: () => "u-5", anonymousId: () => "ajs-1" });
    client.track("late");
    await advance(1_000);
    assert.equal(client.connection, "off");
    assert.deepEqual(gateway.asked, []);
  } finally {
    delete globalThis.analytics;
  }
});

test("a merge that is sent again, where nothing remembers the first, has the same id and counts once", async () => {
  let visitor = "ajs-1";
  globalThis.analytics = { user: () => ({ id: () => null, anonymousId: () => visitor }), ready: () => undefined };
  try {
    for (visitor of ["ajs-1", "ajs-1", "v".repeat(200)]) start({ token: () => "t" }).identify("u-9");
    await advance(2_000);
    const ids = gateway.stored.filter((each) => each.eventType === "identity_merged").map((each) => each.eventId);
    assert.deepEqual(ids.slice(0, 2), ["merged:ajs-1", "merged:ajs-1"]);
    assert.ok(ids[2].length <= 128);
  } finally {
    delete globalThis.analytics;
  }
});

test("what belongs to another user is not shown after a change of users", async () => {
  const streams = {};
  gateway.stream = (headers) => (streams[headers.authorization] = pushStream()).response();
  let user = "u-1";
  const client = start({ user, token: () => `of-${user}` });
  await advance(10);
  streams["Bearer of-u-1"].write(message("recommendation", recommendation("r-1", 50)));
  await advance(10);
  assert.equal(client.recommendation.recommendationId, "r-1");
  user = "u-2";
  client.identify("u-2");
  assert.equal(client.recommendation, null);
  await advance(2_000);
  streams["Bearer of-u-2"].write(message("recommendation", recommendation("r-2", 1)));
  await advance(10);
  assert.equal(client.recommendation.recommendationId, "r-2", "versions are one user's");
});
