/**
 * Who is online, the channels, the calls, the connections: one table at a time.
 *
 * Owns: what each list shows, its tabs, its filter and its pages. Must not know what is done with
 * an account, a channel or a call.
 */

import { place } from "./api.js";
import { button, byId, say, tell } from "./dom.js";
import { Pages } from "./pages.js";
import { Table } from "./table.js";
import { count, lasted, shown } from "./text.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {{look: (kind: "account"|"channel", name: string) => void, endCall: (call: any) => void}} Acts */

/**
 * @param {Session} session
 * @param {Acts} acts
 */
function listsOf(session, acts) {
  /** @param {string} field */
  const account = (field) => ({
    text: (/** @type {any} */ it) => shown(it[field]),
    act: (/** @type {any} */ it) => acts.look("account", it[field]),
    label: (/** @type {any} */ it) => `Look at the account ${shown(it[field])}`,
  });
  const channel = {
    text: (/** @type {any} */ it) => (it.channel === null ? "" : shown(it.channel)),
    act: (/** @type {any} */ it) => acts.look("channel", it.channel),
    label: (/** @type {any} */ it) => `Look at the channel ${shown(it.channel ?? "")}`,
  };
  const now = () => Date.now() / 1000;
  /** @type {import("./table.js").Column<any>[]} */
  const end = session.may("kick")
    ? [{ head: "End", kind: "act", width: "4.5rem", text: () => "End", act: acts.endCall,
         label: (it) => `End the call of ${shown(it.caller)} to ${shown(it.callee)} about ${shown(it.channel)}` }]
    : [];
  return [
    {
      id: "online", title: "Online", path: "accounts", nobody: "Nobody is online.",
      names: (/** @type {any} */ it) => [it.account, it.channel ?? ""],
      keyOf: (/** @type {any} */ it) => it.account,
      columns: [
        { head: "Account", kind: "name", ...account("account") },
        { head: "Channel", ...channel },
        { head: "Device", text: (/** @type {any} */ it) => shown(it.device || "–"), width: "5.5rem" },
        { head: "Link", text: (/** @type {any} */ it) => (it.is_connected ? "up" : "lost"), width: "3.5rem",
          state: (/** @type {any} */ it) => (it.is_connected ? "good" : "wait") },
      ],
    },
    {
      id: "channels", title: "Channels", path: "channels", nobody: "There is no channel.",
      names: (/** @type {any} */ it) => [it.channel],
      keyOf: (/** @type {any} */ it) => it.channel,
      columns: [
        { head: "Channel", kind: "name", ...channel },
        { head: "Members", kind: "number", text: (/** @type {any} */ it) => count(it.members), width: "5.5rem" },
        { head: "Joins", kind: "number", text: (/** @type {any} */ it) => count(it.joins), width: "5rem" },
        { head: "Empty for", text: (/** @type {any} */ it) => (it.idle_since === null ? "" : lasted(now() - it.idle_since)), width: "6.5rem" },
      ],
    },
    {
      id: "calls", title: "Calls", path: "calls", nobody: "Nobody is in a call.",
      names: (/** @type {any} */ it) => [it.caller, it.callee, it.channel],
      keyOf: (/** @type {any} */ it) => it.id,
      columns: [
        { head: "Caller", kind: "name", ...account("caller") },
        { head: "Callee", ...account("callee") },
        { head: "Channel", text: (/** @type {any} */ it) => shown(it.channel) },
        { head: "State", text: (/** @type {any} */ it) => it.state, width: "5rem",
          state: (/** @type {any} */ it) => (it.state === "accepted" ? "good" : "wait") },
        ...end,
      ],
    },
    {
      id: "connections", title: "Connections", path: "connections", nobody: "Nobody is connected to this node.",
      names: (/** @type {any} */ it) => [it.account, it.peer],
      keyOf: (/** @type {any} */ it) => `${it.account} ${it.peer} ${it.since}`,
      columns: [
        { head: "Account", kind: "name", ...account("account") },
        { head: "From", text: (/** @type {any} */ it) => shown(it.peer) },
        { head: "Wire", text: (/** @type {any} */ it) => shown(it.wire), width: "5.5rem" },
        { head: "For", text: (/** @type {any} */ it) => lasted(now() - it.since), width: "6.5rem" },
        { head: "Unsent", kind: "number", text: (/** @type {any} */ it) => count(it.outbox_bytes), width: "4.5rem" },
      ],
    },
  ];
}

export class Lists {
  #session;
  #lists;
  #current;
  #pages = new Pages();
  #table;
  /** What is shown is of this question: an answer to another comes too late. */
  #question = 0;

  /**
   * @param {Session} session
   * @param {Acts} acts
   */
  constructor(session, acts) {
    this.#session = session;
    this.#lists = listsOf(session, acts);
    this.#current = this.#lists[0];
    this.#table = this.#tableOf();
    const signal = session.ended;
    byId("tabs").replaceChildren(...this.#lists.map((it) => this.#tab(it)));
    byId("tabs").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#step(event), { signal });
    byId("filter").addEventListener("input", () => this.#turn(() => this.#pages.rewind()), { signal });
    byId("first").addEventListener("click", () => this.#turn(() => this.#pages.rewind()), { signal });
    byId("next").addEventListener("click", () => this.#turn(() => this.#pages.advance()), { signal });
    this.#choose(this.#current);
  }

  /** Ask for what is shown, and show it. */
  async refresh() {
    const asked = this.#question;
    const { path, names, nobody } = this.#current;
    const wanted = byId("filter").value.trim().toLowerCase();
    const isWanted = wanted ? (/** @type {any} */ it) => names(it).some((name) => name.toLowerCase().includes(wanted)) : null;
    const there = `${this.#session.place}/${path}`;
    const { rows, searched, next } = await this.#pages.read((query) => this.#session.api.get(there, query), isWanted);
    if (asked !== this.#question || this.#session.ended.aborted) {
      return;
    }
    this.#table.show(rows);
    say(byId("none"), wanted ? `Nothing in ${count(searched)} has that in its name.` : nobody);
    byId("none").hidden = rows.length > 0;
    const { cursor } = this.#pages;
    this.#pages.next = next;
    const where = cursor || next ? (next ? ", and there are more" : ", the last of them") : "";
    tell(byId("list-said"), `${count(rows.length)}${wanted ? ` of ${count(searched)}` : ""} shown${where}`);
    byId("first").disabled = !cursor;
    byId("next").disabled = !next;
  }

  /** @param {(typeof this.#lists)[0]} list */
  #tab(list) {
    const attributes = { role: "tab", id: `tab-${list.id}`, "aria-controls": "list", tabindex: "-1", "aria-selected": "false" };
    return button(list.title, () => this.#choose(list), attributes);
  }

  /** @param {(typeof this.#lists)[0]} list */
  #choose(list) {
    this.#current = list;
    for (const it of this.#lists) {
      const tab = byId(`tab-${it.id}`);
      tab.setAttribute("aria-selected", `${it === list}`);
      tab.tabIndex = it === list ? 0 : -1;
    }
    byId("list").setAttribute("aria-labelledby", `tab-${list.id}`);
    this.#table = this.#tableOf();
    byId("list").scrollTop = 0;
    this.#turn(() => this.#pages.rewind());
  }

  #tableOf() {
    const { title, columns, keyOf } = this.#current;
    return new Table(byId("table"), title, /** @type {any} */ (columns), keyOf);
  }

  /** @param {KeyboardEvent} event */
  #step(event) {
    const tabs = this.#lists.map((it) => byId(`tab-${it.id}`));
    const at = tabs.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (at >= 0 && to !== undefined) {
      event.preventDefault();
      const index = (to + tabs.length) % tabs.length;
      tabs[index].focus();
      this.#choose(this.#lists[index]);
    }
  }

  /** @param {() => void} move */
  async #turn(move) {
    move();
    this.#question += 1;
    const asked = this.#question;
    try {
      await this.refresh();
    } catch (error) {
      if (asked === this.#question) {
        this.#session.failed(error, byId("list-said"));
      }
    }
  }
}

/**
 * End a call.
 * @param {Session} session
 * @param {any} call
 */
export async function endCall(session, call) {
  const where = place("calls", call.channel, call.caller, call.callee);
  await session.api.remove(`${session.place}/${where}?${new URLSearchParams({ call_id: call.id })}`);
}

