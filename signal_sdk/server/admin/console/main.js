/**
 * The console: in by a key, what that may see and do, and out again.
 *
 * Owns: which parts there are for a key, and the tab's memory of it. Must not know what any part
 * shows.
 */

import { About } from "./about.js";
import { Api, Problem } from "./api.js";
import { byId, isSure, make, say, tell } from "./dom.js";
import { Events } from "./events.js";
import { endCall, Lists } from "./lists.js";
import { Load } from "./load.js";
import { Send } from "./send.js";
import { Session } from "./session.js";
import { clock, lasted, shown } from "./text.js";
import { offerThemes } from "./theme.js";

const KEY = "signal-sdk.key";
const WHY = "signal-sdk.why";
const ASK_SECONDS = 3;
const LOOK_SECONDS = 2;
const DEV_APP = "demo";

/** @type {Session|null} */
let session = null;
/** @type {Load|null} */
let load = null;
/** When the server was lost sight of, in Unix ms; 0 where it is there. */
let lostAt = 0;

/** @param {SubmitEvent} event */
function typed(event) {
  event.preventDefault();
  enter(byId("key").value.trim());
}

/** @param {string} key */
async function enter(key) {
  const said = byId("login-said");
  tell(said, "");
  byId("open").disabled = true;
  try {
    const api = new Api(key);
    const holds = await api.get("v1/key");
    sessionStorage.setItem(KEY, key);
    byId("key").value = "";
    open(api, holds, appOf(holds));
  } catch (error) {
    if (!(error instanceof Problem)) {
      throw error;
    }
    if (error.isShutOut) {
      sessionStorage.removeItem(KEY);
    }
    tell(said, error.message, "bad");
    tell(byId("link-text"), "No key yet");
    byId("key").focus();
  } finally {
    byId("open").disabled = false;
  }
}

/** @param {{app: string, apps: string[]}} holds */
function appOf(holds) {
  const asked = new URLSearchParams(location.hash.slice(1)).get("app") ?? "";
  if (holds.apps.length) {
    return holds.apps.includes(asked) ? asked : holds.apps[0];
  }
  return holds.app === "*" ? asked || DEV_APP : holds.app;
}

/**
 * @param {Api} api
 * @param {import("./session.js").Holds} holds
 * @param {string} app
 */
function open(api, holds, app) {
  session?.end();
  session = new Session(api, holds, app, (problem) => leave(problem.message));
  byId("door").hidden = true;
  byId("desk").hidden = false;
  byId("forget").hidden = false;
  byId("forget").title = `The key is ${holds.name}`;
  offerApps(holds, app);
  show(session);
}

/** @param {Session} now */
function show(now) {
  const isWholeServer = now.isForAll;
  byId("load").hidden = !(now.may("metrics") && isWholeServer);
  byId("lists").hidden = byId("about").hidden = !now.may("read");
  byId("send").hidden = !now.may("send");
  byId("events").hidden = !now.may("events");
  say(byId("node"), "");
  const about = new About(now, {
    follow: (of) => events?.follow(of),
    write: (kind, name) => send?.write(kind, name),
  });
  const send = now.may("send") ? new Send(now) : null;
  const events = now.may("events") ? new Events(now) : null;
  now.every(ASK_SECONDS, () => ask(now), (error) => cut(now, error));
  if (!byId("load").hidden) {
    const shownLoad = (load ??= new Load());
    now.every(LOOK_SECONDS, () => shownLoad.look(now.api), (error) => now.failed(error, null));
  }
  if (now.may("read")) {
    const lists = new Lists(now, {
      look: (kind, name) => about.look(kind, name),
      endCall: (call) => end(now, call, lists),
    });
    now.every(LOOK_SECONDS, () => lists.refresh(), (error) => now.failed(error, byId("list-said")));
    now.every(ASK_SECONDS, () => about.refresh(), (error) => now.failed(error, byId("about-said")));
  }
}

/** @param {Session} now */
async function ask(now) {
  const holds = await now.api.get("v1/key");
  const node = now.may("read") && now.isForAll ? await now.api.get("v1/node") : null;
  if (now.ended.aborted) {
    return;
  }
  if (JSON.stringify(holds) !== JSON.stringify(now.holds)) {
    // The server has read its configuration anew.
    open(now.api, holds, holds.apps.includes(now.app) || !holds.apps.length ? now.app : appOf(holds));
    return;
  }
  lostAt = 0;
  document.body.dataset.link = "there";
  const why = node?.why_not_ready ?? "";
  byId("link").dataset.state = why ? "wait" : "good";
  say(byId("link-text"), why ? `Lets nobody in: ${shown(why)}` : "Connected");
  if (node) {
    say(byId("node"), `${shown(node.version)} · up ${lasted(Date.now() / 1000 - node.since)}`);
  }
}

/**
 * @param {Session} now
 * @param {unknown} error
 */
function cut(now, error) {
  now.failed(error, null);
  if (now !== session) {
    return;
  }
  lostAt ||= Date.now();
  document.body.dataset.link = "cut";
  byId("link").dataset.state = "bad";
  say(byId("link-text"), `Cut off since ${clock(lostAt)}: ${/** @type {Problem} */ (error).message}; trying again`);
}

/**
 * @param {Session} now
 * @param {any} call
 * @param {Lists} lists
 */
async function end(now, call, lists) {
  const who = `${shown(call.caller)} → ${shown(call.callee)}`;
  if (!(await isSure("End the call?", `${who}, about ${shown(call.channel)}: both sides hear that it is over.`, "End"))) {
    return;
  }
  try {
    await endCall(now, call);
    await lists.refresh();
    tell(byId("list-said"), "The call was ended.", "good");
  } catch (error) {
    now.failed(error, byId("list-said"));
  }
}

/**
 * @param {import("./session.js").Holds} holds
 * @param {string} app
 */
function offerApps(holds, app) {
  const isAny = !holds.apps.length;
  byId("app-label").hidden = false;
  byId("app").hidden = isAny;
  byId("app-name").hidden = !isAny;
  byId("app").replaceChildren(...holds.apps.map((it) => make("option", { value: it }, shown(it))));
  byId("app").value = app;
  byId("app-name").value = app;
  byId("app-name").disabled = holds.app !== "*";
}

/** @param {Event} event */
function chosen(event) {
  const app = /** @type {HTMLInputElement} */ (event.target).value;
  if (session && app && app !== session.app) {
    history.replaceState(null, "", `#${new URLSearchParams({ app })}`);
    const focused = document.activeElement;
    open(session.api, session.holds, app);
    /** @type {HTMLElement|null} */ (focused)?.focus();
  }
}

/** @param {string} [why] */
function leave(why = "") {
  session?.end();
  session = null;
  sessionStorage.removeItem(KEY);
  sessionStorage.setItem(WHY, why);
  // Nothing of what was seen stays in the page.
  location.reload();
}

function start() {
  offerThemes(() => load?.redraw());
  byId("login").addEventListener("submit", typed);
  byId("forget").addEventListener("click", () => leave());
  byId("app").addEventListener("change", chosen);
  byId("app-name").addEventListener("change", chosen);
  for (const link of document.querySelectorAll("a[data-skip]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      document.getElementById(/** @type {HTMLElement} */ (link).dataset.skip ?? "")?.focus();
    });
  }
  tell(byId("login-said"), sessionStorage.getItem(WHY) ?? "", "bad");
  sessionStorage.removeItem(WHY);
  const key = sessionStorage.getItem(KEY);
  if (key) {
    enter(key);
  } else {
    byId("key").focus();
  }
}

start();
