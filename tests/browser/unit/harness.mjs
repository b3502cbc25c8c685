// A gateway made of functions, and time that moves when a test says so.

import { mock } from "node:test";

export const KEY = "pk_test_0123456789";

/** Let everything that is ready run. */
export async function settle() {
  for (let turn = 0; turn < 50; turn++) await new Promise((done) => setImmediate(done));
}

/** Move the clock on, in steps, so that what a timer starts is over before the next timer is due. */
export async function advance(milliseconds, step = 50) {
  for (let passed = 0; passed < milliseconds; passed += step) {
    mock.timers.tick(Math.min(step, milliseconds - passed));
    for (let turn = 0; turn < 6; turn++) await new Promise((done) => setImmediate(done));
  }
}

export function json(status, body, headers = {}) {
  return new Response(status === 204 || status === 304 ? null : JSON.stringify(body), { status, headers });
}

/** A push stream that a test writes to. */
export function pushStream() {
  let control;
  const body = new ReadableStream({ start: (controller) => (control = controller) });
  return {
    response: () =>
      Object.assign(new Response(body, { headers: { "content-type": "text/event-stream" } }), { fail: (error) => control.error(error) }),
    write: (bytes) => control.enqueue(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes),
    close: () => control.close(),
  };
}

/** Replace `fetch`. `gateway.events`, `.stream` and `.read` answer; what was asked is kept. */
export function fakeGateway() {
  const gateway = {
    posts: [],
    asked: [],
    stored: [],
    problems: [],
    events: (batch) => {
      gateway.stored.push(...batch);
      return json(202, { stored: batch.map((each) => each.eventId) });
    },
    stream: () => json(404, {}),
    read: () => json(204),
  };
  globalThis.fetch = async (url, options = {}) => {
    if (options.signal?.aborted) throw new DOMException("aborted", "AbortError");
    const ended = new Promise((_, fail) =>
      options.signal?.addEventListener("abort", () => fail(new DOMException("aborted", "AbortError"))),
    );
    ended.catch(() => undefined);
    const { pathname: path, search } = new URL(url);
    const headers = options.headers ?? {};
    if (path === "/v1/events") {
      const batch = JSON.parse(options.body);
      const authorization = headers.authorization;
      gateway.posts.push({ batch, authorization, keepalive: options.keepalive });
      return Promise.race([gateway.events(batch, authorization), ended]);
    }
    gateway.asked.push({ path, search, headers });
    if (path !== "/v1/stream") return Promise.race([gateway.read(path, headers), ended]);
    const response = await Promise.race([gateway.stream(headers), ended]);
    options.signal?.addEventListener("abort", () => response.fail?.(new DOMException("aborted", "AbortError")));
    return response;
  };
  return gateway;
}

export function options(gateway, more = {}) {
  return { host: "https://gateway.example/", key: KEY, onError: (problem) => gateway.problems.push(problem), ...more };
}

export function message(kind, record) {
  return `event: ${kind}\nid: ${record.version}\ndata: ${JSON.stringify(record)}\n\n`;
}

export function recommendation(id, version, more = {}) {
  return { recommendationId: id, version, message: "Press Test connection.", uiComponent: "tooltip", deepLink: "/sources/new", ...more };
}
