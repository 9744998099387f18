/**
 * What happens, as it happens: the newest events, of some kinds, of one account or channel.
 *
 * Owns: the list, and that it stays short however much happens. Must not know how a stream is read,
 * nor what an event says.
 */

import { byId, make, tell } from "./dom.js";
import { KINDS, sentence } from "./sentences.js";
import { follow } from "./stream.js";
import { clock, count, shown } from "./text.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {{kind: string, facts: any, at: number}} Event */

export const MOST = 300;
const SAY_MS = 2000;

export class Events {
  #session;
  /** @type {Event[]} the newest last, not shown yet */
  #waiting = [];
  #count = 0;
  #isHeld = false;
  #isDrawing = false;
  #following = new AbortController();
  #state = "";
  #saidAt = 0;

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
    const { ended: signal } = session;
    byId("kinds").replaceChildren(
      byId("kinds").firstElementChild,
      ...KINDS.map((kind) => make("label", { class: "check", "data-event": kind }, make("input", { type: "checkbox", value: kind, checked: "" }), kind)),
    );
    byId("events-list").replaceChildren();
    byId("kinds").addEventListener("change", () => this.#start(), { signal });
    byId("events-form").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      this.#start();
    }, { signal });
    byId("clear").addEventListener("click", () => this.#clear(), { signal });
    byId("hold").addEventListener("click", () => this.#hold(!this.#isHeld), { signal });
    signal.addEventListener("abort", () => this.#following.abort());
    this.#hold(false);
    this.#start();
  }

  /**
   * From here on, the events of this one.
   * @param {{account?: string, channel?: string}} of
   */
  follow(of) {
    byId("events-account").value = of.account ?? "";
    byId("events-channel").value = of.channel ?? "";
    this.#clear();
    this.#start();
    byId("events-list").focus();
  }

  async #start() {
    this.#following.abort();
    const following = new AbortController();
    this.#following = following;
    const boxes = Array.from(byId("kinds").querySelectorAll("input:checked"), (it) => /** @type {HTMLInputElement} */ (it).value);
    if (!boxes.length) {
      this.#say("No kind is chosen", "");
      return;
    }
    const query = new URLSearchParams({ kinds: boxes.join(",") });
    for (const part of ["account", "channel"]) {
      const { value } = byId(`events-${part}`);
      if (value) {
        query.set(part, value);
      }
    }
    this.#say("Asking …", "");
    const refused = await follow(this.#session.api, `${this.#session.place}/events?${query}`, following.signal, {
      event: (kind, facts) => this.#take(kind, facts),
      open: () => this.#say("Following", "good"),
      lost: (problem, seconds) => this.#say(`Cut off: ${problem.message}; again in ${Math.ceil(seconds)} s`, "bad"),
    });
    if (refused && this.#following === following) {
      this.#session.failed(refused, byId("events-said"));
    }
  }

  /**
   * @param {string} kind
   * @param {any} facts
   */
  #take(kind, facts) {
    this.#waiting.push({ kind, facts, at: facts.time || Date.now() });
    this.#count += 1;
    if (this.#waiting.length > MOST) {
      this.#waiting.splice(0, this.#waiting.length - MOST);
    }
    if (!this.#isDrawing && !this.#isHeld) {
      this.#isDrawing = true;
      // A hidden page is not drawn: what waits is bounded all the same.
      requestAnimationFrame(() => this.#draw());
    }
  }

  #draw() {
    this.#isDrawing = false;
    const list = byId("events-list");
    const isAtTop = list.scrollTop < 4;
    list.prepend(...this.#waiting.reverse().map((it) => this.#row(it)));
    this.#waiting = [];
    while (list.childElementCount > MOST) {
      list.lastElementChild.remove();
    }
    if (isAtTop) {
      list.scrollTop = 0;
    }
    // Whoever hears the page is told now and then, not of each.
    if (performance.now() - this.#saidAt > SAY_MS) {
      this.#say(this.#state, byId("events-said").dataset.state);
    }
  }

  /** @param {Event} event */
  #row({ kind, facts, at }) {
    const parts = sentence(kind, facts).map((it) => (typeof it === "string" ? shown(it) : make("bdi", { class: "name" }, shown(it.name))));
    const time = make("time", { datetime: new Date(at).toISOString() }, clock(at));
    return make("li", { "data-event": kind }, time, make("span", { class: "kind" }, kind), make("span", { class: "what" }, ...parts));
  }

  #clear() {
    this.#waiting = [];
    this.#count = 0;
    byId("events-list").replaceChildren();
    this.#say(this.#state, byId("events-said").dataset.state);
  }

  /** @param {boolean} isHeld */
  #hold(isHeld) {
    this.#isHeld = isHeld;
    byId("hold").setAttribute("aria-pressed", `${isHeld}`);
    if (!isHeld && this.#waiting.length) {
      this.#draw();
    }
  }

  /**
   * @param {string} text
   * @param {"good"|"bad"|""} how
   */
  #say(text, how) {
    this.#state = text;
    this.#saidAt = performance.now();
    tell(byId("events-said"), this.#count && how === "good" ? `${text}, ${count(this.#count)} so far` : text, how);
  }
}
