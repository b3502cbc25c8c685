/**
 * The demo: a made-up product whose steps are those of the catalog's path first_dashboard, and beside it what the engine sees and decides.
 *
 * It is an ordinary page of a customer: it sends events with a publishable key, reads with a user token, and lets onramp.mjs render the
 * guidance. Only `POST session` is the demo's own: it stands for the server of the customer, who knows the user and signs the token.
 */

import { onramp } from "../onramp.mjs";

globalThis.onramp = onramp; // to play with in the browser's console

const $ = (id) => document.getElementById(id);

/** Create an element. Children are nodes or text; text stays text. */
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((each) => each !== null));
  return element;
}

// ---------------------------------------------------------------------------------------------------------------- the session

const KEPT = "onramp-demo";
let session = null;
let name = "";

/** Ask the demo's server who we are, as the page of a customer asks its own. */
async function open(userId) {
  const response = await fetch("session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(userId ? { userId } : {}),
  });
  if (!response.ok) throw new Error(`The demo has no session (status ${response.status}). Start it with: onramp up`);
  return response.json();
}

async function start(firstName, known) {
  try {
    session = await open(known);
  } catch (error) {
    problem(error.message);
    return;
  }
  name = firstName;
  sessionStorage.setItem(KEPT, JSON.stringify({ userId: session.userId, name }));
  $("user").textContent = $("user").title = session.userId;
  $("nav").hidden = $("play").hidden = $("again").hidden = false;
  listen();
  let fresh = session.token;
  onramp.init({
    host: session.host ?? "/",
    key: session.key,
    user: session.userId,
    token: async () => {
      const token = fresh ?? (await open(session.userId)).token;
      fresh = null;
      return token;
    },
    path: pathOf,
    onError: problem,
    ui: { navigate: go },
  });
  if (!known) onramp.send("signup", { traits: { firstName } });
  if (location.hash.length < 2) go("/home");
  else show();
}

function problem(sentence) {
  $("problem").textContent = sentence;
  $("problem").hidden = false;
  clearTimeout(problem.timer);
  problem.timer = setTimeout(() => ($("problem").hidden = true), 12_000);
}

// ---------------------------------------------------------------------------------------------------------------- the product

/** The pages of the product: their title in the menu, the step that belongs there, and what they show. */
const PAGES = {
  "/home": { title: "Home", view: home },
  "/sample/overview": { title: "Sample", step: "tour_sample", view: () => sample("Last week at a glance", "/sample/details", "Look at the details") },
  "/sample/details": { view: () => sample("Every signup, day by day", "/sample/overview", "Back to the overview") },
  "/sources/new": { title: "Sources", step: "connect_source", view: sources },
  "/dashboards/new": { title: "New dashboard", step: "build_dashboard", view: newDashboard },
  "/dashboards/recent": { title: "Dashboard", step: "add_charts", also: "share_dashboard", view: dashboard },
  "/settings/people": { title: "People", step: "invite_team", view: people },
};

/** What a user does who completes a step, and the error of one who fails at it. */
const STEPS = {
  tour_sample: { done: () => onramp.send("button_click", { target: "finish_tour", label: "Finish the tour" }), code: "chart_not_loaded", target: "tour_chart" },
  connect_source: { done: () => onramp.track("source_connected", { status: "connected", kind: "file" }), code: "source_unreachable", target: "source_form" },
  build_dashboard: { done: () => onramp.send("button_click", { target: "save_dashboard", label: "Save" }), code: "name_missing", target: "dashboard_form" },
  add_charts: { done: () => onramp.track("chart_added", { kind: "bars" }), times: 3, code: "no_data", target: "chart_form" },
  invite_team: { done: () => onramp.send("form_submit", { form: "invite" }), code: "address_invalid", target: "invite_form" },
  share_dashboard: { done: () => onramp.send("button_click", { target: "copy_share_link", label: "Copy link" }), code: "link_failed", target: "share_menu" },
};
const product = { source: false, dashboard: false, charts: 0, invited: [] };

function pathOf(at = location) {
  const path = at.hash.slice(1);
  return path in PAGES ? path : "/home";
}

function go(path) {
  if (pathOf() === path && location.hash) show();
  else location.hash = path;
}

function show() {
  const path = pathOf();
  const links = Object.entries(PAGES).filter(([, page]) => page.title);
  const section = path.split("/")[1];
  $("nav").replaceChildren(
    ...links.map(([to, { title, step, also }]) => {
      const here = to === path || (section === "sample" && to.startsWith("/sample"));
      const marks = also && also === onramp.recommendation?.stepId ? also : step;
      return h("a", { href: `#${to}`, "aria-current": here ? "page" : null, "data-onramp-step": here ? null : (marks ?? null) }, title);
    }),
  );
  $("view").replaceChildren(...PAGES[path].view());
}

function heading(title, text) {
  return [h("h2", {}, title), h("p", {}, text)];
}

function note(element, text, good) {
  element.className = `note ${good ? "good" : "bad"}`;
  element.textContent = text;
}

function fail(step, message) {
  const { code, target } = STEPS[step];
  onramp.send("error", { code, target, message });
}

function welcome() {
  const input = h("input", { id: "first-name", autocomplete: "given-name", maxlength: "60", value: "Ada", required: true });
  const begin = (event) => {
    event.preventDefault();
    start(input.value.trim() || "Ada");
  };
  return [
    ...heading("Welcome to Tideboard", "Team analytics that is quick to set up. It is made up; what you type here goes to your own gateway."),
    h(
      "form",
      { submit: begin },
      h("label", { for: "first-name" }, "Your first name", input),
      h("div", { class: "buttons" }, h("button", { class: "primary" }, "Sign up")),
    ),
  ];
}

function home() {
  const list = h("div", { class: "checklist" });
  drawChecklist(list);
  return [...heading(`Hello, ${name}`, "Your team's numbers will be here. These steps lead there."), list];
}

/** The page's own checklist, drawn from what `onramp.progress` holds: the headless way to use the snippet. */
function drawChecklist(list) {
  const steps = onramp.progress?.steps ?? [];
  if (!steps.length) list.replaceChildren(h("p", { class: "quiet" }, "Your steps appear in a moment."));
  else list.replaceChildren(stepList(steps, true));
}

function sample(title, to, label) {
  const tiles = [["Visitors", "12,480"], ["Sign-ups", "832"], ["Activated", "41 %"]];
  return [
    ...heading(title, "Sample data. Look around; nothing here changes your own."),
    h("div", { class: "tiles" }, ...tiles.map(([what, value]) => h("div", { class: "tile" }, h("b", {}, value), what))),
    h(
      "div",
      { class: "buttons" },
      h("a", { href: `#${to}` }, label),
    ),
    h("div", { class: "more buttons" }, h("button", { class: "primary", "data-onramp-click": "finish_tour", "data-onramp-step": "tour_sample" }, "Finish the tour")),
  ];
}

function sources() {
  const kind = h("select", { id: "kind" }, h("option", { value: "database" }, "Database"), h("option", { value: "file" }, "Uploaded file"));
  const host = h("input", { id: "host", value: "db.tideboard.example", autocomplete: "off" });
  const said = h("p", { class: "note", role: "status" });
  const connect = (event) => {
    event.preventDefault();
    if (kind.value === "database") {
      fail("connect_source", `no answer from ${host.value}`);
      note(said, `No answer from ${host.value}.`, false);
      return;
    }
    product.source = true;
    STEPS.connect_source.done();
    note(said, "Connected. 1,204 rows are here.", true);
  };
  return [
    ...heading("Connect a data source", "Tideboard asks for read access only. The database of this demo never answers; a file always works."),
    h(
      "form",
      { submit: connect },
      h("label", { for: "kind" }, "Kind", kind),
      h("label", { for: "host" }, "Host or file name", host),
      h("div", { class: "buttons" }, h("button", { class: "primary", "data-onramp-click": "test_connection", "data-onramp-step": "connect_source" }, "Connect")),
      said,
    ),
  ];
}

function newDashboard() {
  const title = h("input", { id: "title", autocomplete: "off", maxlength: "80" });
  const said = h("p", { class: "note", role: "status" });
  const save = (event) => {
    event.preventDefault();
    if (!title.value.trim()) {
      fail("build_dashboard", "the dashboard has no name");
      note(said, "A dashboard needs a name.", false);
      return;
    }
    product.dashboard = true;
    STEPS.build_dashboard.done();
    note(said, `“${title.value.trim()}” is saved.`, true);
  };
  return [
    ...heading("New dashboard", "Give it a name; charts come next. Preview does nothing, as in so many products."),
    h(
      "form",
      { submit: save },
      h("label", { for: "title" }, "Name", title),
      h(
        "div",
        { class: "buttons" },
        h("button", { class: "primary", "data-onramp-step": "build_dashboard" }, "Save"),
        h("button", { type: "button", "data-onramp-click": "dashboard_preview" }, "Preview"),
      ),
      said,
    ),
  ];
}

function dashboard() {
  const tiles = h("div", { class: "tiles" });
  const said = h("p", { class: "note", role: "status" });
  const draw = () => {
    const charts = Array.from({ length: product.charts }, (_, number) => h("div", { class: "tile" }, `Chart ${number + 1}`, bars(number)));
    tiles.replaceChildren(...(charts.length ? charts : [h("div", { class: "tile empty" }, "No charts yet")]));
  };
  const add = () => {
    if (product.charts < 9) product.charts++;
    STEPS.add_charts.done();
    draw();
  };
  const share = () => {
    STEPS.share_dashboard.done();
    note(said, "The link is copied (not really).", true);
  };
  draw();
  return [
    ...heading("Your dashboard", "Add three charts, then share what you made."),
    tiles,
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", class: "primary", "data-onramp-step": "add_charts", click: add }, "Add a chart"),
      h("button", { type: "button", "data-onramp-step": "share_dashboard", click: share }, "Copy share link"),
    ),
    said,
  ];
}

function bars(seed) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 70 40");
  svg.setAttribute("aria-hidden", "true");
  for (let bar = 0; bar < 7; bar++) {
    const height = 8 + ((seed * 13 + bar * 17 + bar * bar * 5) % 30);
    const rect = document.createElementNS(space, "rect");
    for (const [key, value] of Object.entries({ x: bar * 10, y: 40 - height, width: 7, height, rx: 1.5 })) rect.setAttribute(key, value);
    svg.append(rect);
  }
  return svg;
}

function people() {
  const address = h("input", { id: "address", type: "text", inputmode: "email", autocomplete: "off", placeholder: "grace@example.com" });
  const said = h("p", { class: "note", role: "status" });
  const invite = (event) => {
    event.preventDefault();
    if (!/^\S+@\S+\.\S+$/.test(address.value)) {
      fail("invite_team", `${address.value || "nothing"} is no address`);
      note(said, "That is no e-mail address.", false);
      return;
    }
    product.invited.push(address.value);
    STEPS.invite_team.done();
    note(said, `${address.value} is invited. No mail is sent.`, true);
  };
  return [
    ...heading("People", product.invited.length ? `Invited: ${product.invited.join(", ")}` : "Dashboards are better with company."),
    h(
      "form",
      { submit: invite, novalidate: true },
      h("label", { for: "address" }, "E-mail address", address),
      h("div", { class: "buttons" }, h("button", { class: "primary", "data-onramp-step": "invite_team" }, "Invite")),
      said,
    ),
  ];
}

// ------------------------------------------------------------------------------------------------------------- play the user

function current() {
  const id = onramp.progress?.nextStep ?? onramp.recommendation?.stepId ?? "tour_sample";
  return id in STEPS ? id : "tour_sample";
}

/** Do something several times with the uneven pauses of a person, in milliseconds; the engine knows machines by their rhythm. */
async function repeat(times, pause, act) {
  const buttons = [...$("play").querySelectorAll("button")];
  for (const each of buttons) each.setAttribute("aria-disabled", "true");
  for (let turn = 0; turn < times; turn++) {
    if (turn) await new Promise((done) => setTimeout(done, pause * (0.7 + Math.random() * 0.9)));
    act(turn);
  }
  for (const each of buttons) each.removeAttribute("aria-disabled");
}

/** What each button of the played user does. While one plays, the others wait. */
const PLAY = {
  fail: (step) => repeat(3, 500, () => fail(step, "It did not work.")),
  rage: (step) => repeat(6, 170, () => onramp.send("button_click", { target: STEPS[step].target, label: "Dead button" })),
  wander: () => repeat(12, 260, (turn) => onramp.page(turn % 2 ? "/help" : "/home")),
  complete: (step) => {
    if (step === "add_charts") {
      product.charts = Math.max(product.charts, 3);
      if (pathOf() === "/dashboards/recent") show();
    }
    return repeat(STEPS[step].times ?? 1, 260, STEPS[step].done);
  },
};
for (const [id, act] of Object.entries(PLAY)) {
  $(id).addEventListener("click", () => {
    if (!$(id).hasAttribute("aria-disabled")) act(current());
  });
}
$("again").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  onramp.destroy();
  location.hash = "";
  location.reload();
});

// ----------------------------------------------------------------------------------------------------------------- the engine

const WHY = {
  signup: "has just signed up",
  step_completed: "has completed a step",
  "stuck:errors": "is stuck: the step fails again and again",
  "stuck:rage_clicks": "is stuck: many clicks on one thing within seconds",
  "stuck:looping": "is stuck: the same pages again and again",
  "stuck:slow_step": "is stuck: the step takes far longer than it takes others",
  "stuck:inactive": "has not been here for long",
};
const MOST_LINES = 200;
const rows = new Map();
let lastSent = 0;

function listen() {
  onramp.on("delivery", ({ event, state }) => sent(event, state));
  onramp.on("record", (record) => {
    decided(record);
    markMenu();
  });
  onramp.on("progress", moved);
  onramp.on("connection", connected);
  connected(onramp.connection);
}

/** A new recommendation marks another entry of the menu; what is typed into the page stays. */
function markMenu() {
  const step = onramp.recommendation?.stepId;
  const [to] = Object.entries(PAGES).find(([, page]) => page.also === step) ?? [];
  const link = to ? $("nav").querySelector(`a[href="#${to}"]:not([aria-current])`) : null;
  link?.setAttribute("data-onramp-step", step);
}

function connected(connection) {
  const texts = { off: "not started", connecting: "connecting …", stream: "live", polling: "asking every 10 s" };
  $("connection").textContent = texts[connection];
  $("connection").className = `dot ${connection}`;
}

function line(kind, ...children) {
  const text = h("span", { class: "text" }, ...children);
  const time = new Date().toLocaleTimeString("en-GB");
  const row = h("li", { class: kind }, h("time", {}, time), text);
  $("feed").prepend(row);
  while ($("feed").childElementCount > MOST_LINES) $("feed").lastElementChild.remove();
  return row;
}

function sent(event, state) {
  if (state === "waiting") {
    lastSent = performance.now();
    const { eventType, payload } = event;
    const what = event.name ?? payload.target ?? payload.path ?? payload.form ?? payload.traits?.firstName ?? payload.recommendationId ?? "";
    const row = line("event", `${eventType.replaceAll("_", " ")} `, h("code", {}, String(what).slice(0, 80)), " ", h("span", { class: "state" }, "sending"));
    rows.set(event.eventId, row);
    return;
  }
  const row = rows.get(event.eventId);
  rows.delete(event.eventId);
  if (!row) return;
  row.querySelector(".state").textContent = state === "stored" ? "✓ stored" : "refused";
  if (state === "refused") row.classList.add("refused");
}

function titleOf(stepId) {
  return onramp.progress?.steps.find(({ id }) => id === stepId)?.title ?? stepId?.replaceAll("_", " ") ?? "";
}

function raw(value) {
  return h("details", {}, h("summary", {}, "The record as the app reads it"), h("pre", { tabindex: "0" }, JSON.stringify(value, null, 2)));
}

function decided(record) {
  const after = lastSent ? `, ${Math.max(0.01, (performance.now() - lastSent) / 1000).toFixed(2)} s after the last event` : "";
  if (!record) {
    $("decision").replaceChildren(h("p", { class: "quiet" }, "Nothing is decided for this user."));
    return;
  }
  if (record.uiComponent === "none") {
    const reason = (record.reason ?? "it is not needed any more").replaceAll("_", " ");
    line("decided", `guidance withdrawn: ${reason}${after}`);
    $("decision").replaceChildren(h("p", { class: "why" }, "Show ", h("b", {}, "nothing"), `: ${reason}.`), raw(record));
    return;
  }
  const because = WHY[record.trigger] ?? record.trigger ?? "";
  line("decided", `${record.uiComponent.replaceAll("_", " ")} upon ${record.trigger ?? "?"}${after}`);
  const facts = [
    ["step", titleOf(record.stepId)],
    ["arm", record.arm ?? "?"],
    ["probability", record.propensity === null ? "?" : record.propensity.toFixed(2)],
    ["text from", record.source ?? "?"],
    ["leads to", record.deepLink ?? "nowhere"],
    ["version", String(record.version)],
  ];
  $("decision").replaceChildren(
    h("p", { class: "why" }, `${name} ${because}. Show a `, h("b", {}, record.uiComponent.replaceAll("_", " ")), "."),
    h("blockquote", {}, record.message),
    h("dl", { class: "facts" }, ...facts.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])),
    raw(record),
  );
}

function stepList(steps, links) {
  const words = { done: "done", current: "now", open: "later" };
  return h(
    "ul",
    { class: "steps" },
    ...steps.map(({ title, status, link }) =>
      h(
        "li",
        { class: status, "aria-current": status === "current" ? "step" : null },
        h("span", { class: "tag" }, words[status]),
        h("span", {}, links && link in PAGES && status !== "done" ? h("a", { href: `#${link}` }, title) : title),
      ),
    ),
  );
}

let before = new Map();

function moved(progress) {
  if (!progress) return;
  for (const { id, title, status } of progress.steps) {
    if (status === "done" && before.size && before.get(id) !== "done") line("moved", `completed: ${title}`);
  }
  before = new Map(progress.steps.map(({ id, status }) => [id, status]));
  $("play-step").textContent = progress.nextStep ? titleOf(progress.nextStep) : "all steps are done";
  $("progress").replaceChildren(
    h("p", {}, progress.pathTitle ?? progress.pathId ?? "", progress.activatedAt ? " (activated)" : ""),
    stepList(progress.steps, false),
    raw(progress),
  );
  const list = document.querySelector(".checklist");
  if (list && !list.contains(document.activeElement)) drawChecklist(list);
}

// ---------------------------------------------------------------------------------------------------------------------- begin

addEventListener("hashchange", () => {
  if (!session) return;
  show();
  $("view").focus({ preventScroll: true });
});

const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
if (kept?.userId) start(kept.name, kept.userId);
else $("view").replaceChildren(...welcome());
