/**
 * One account or channel: what is known of it, and what may be done to it.
 *
 * Owns: what is shown of either. Must not know the lists, nor how events are followed.
 */

import { place } from "./api.js";
import { button, byId, isSure, make, say, tell } from "./dom.js";
import { ROWS } from "./pages.js";
import { Table } from "./table.js";
import { clock, count, counted, lasted, shown, size } from "./text.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {{follow: (of: {account?: string, channel?: string}) => void, write: (kind: string, name: string) => void}} Acts */

const MAX_VALUE_CHARS = 400;
const NOBODY = "Choose one in the lists, or type its name: accounts that are offline have an inbox, too.";

export class About {
  #session;
  #acts;
  /** @type {{kind: string, name: string}|null} */
  #of = null;
  /** @type {Map<string, HTMLElement>} */
  #facts = new Map();
  /** @type {Table<any>|null} */
  #members = null;
  #attributes = make("dl", { class: "facts" });
  /** @type {Map<string, HTMLButtonElement>} */
  #buttons = new Map();

  /**
   * @param {Session} session
   * @param {Acts} acts
   */
  constructor(session, acts) {
    this.#session = session;
    this.#acts = acts;
    this.#title("An account or a channel");
    byId("about-facts").replaceChildren(make("p", { class: "none" }, NOBODY));
    byId("about-acts").hidden = true;
    tell(byId("about-said"), "");
    byId("look").addEventListener(
      "submit",
      (/** @type {Event} */ event) => {
        event.preventDefault();
        this.look(byId("look-kind").value, byId("look-name").value);
      },
      { signal: session.ended },
    );
  }

  /**
   * Show this one.
   * @param {string} kind `account` or `channel`
   * @param {string} name
   */
  async look(kind, name) {
    this.#of = { kind, name };
    byId("look-kind").value = kind;
    byId("look-name").value = name;
    this.#title(kind === "account" ? "Account " : "Channel ", name);
    byId("about-title").focus();
    this.#facts.clear();
    this.#attributes = make("dl", { class: "facts" });
    this.#members = null;
    const parts = [make("dl", { class: "facts", id: "facts" })];
    if (kind === "channel") {
      const table = make("table", { id: "members" });
      this.#members = this.#membersOf(table, name);
      parts.push(make("h3", {}, "Members"), table);
    }
    parts.push(make("h3", {}, "Attributes"), this.#attributes);
    byId("about-facts").replaceChildren(...parts);
    this.#offer(kind, name);
    tell(byId("about-said"), "");
    try {
      await this.refresh();
    } catch (error) {
      this.#session.failed(error, byId("about-said"));
    }
  }

  /**
   * @param {string} text
   * @param {string} [name]
   */
  #title(text, name = "") {
    byId("about-title").replaceChildren(text, make("bdi", { class: "name" }, shown(name)));
  }

  /** Ask anew for what is shown. */
  async refresh() {
    const of = this.#of;
    if (!of) {
      return;
    }
    const { api } = this.#session;
    const there = `${this.#session.place}/${place(`${of.kind}s`, of.name)}`;
    if (of.kind === "account") {
      const asked = ["", "/inbox", "/attributes", "/calls"].map((it) => api.get(there + it));
      const [presence, inbox, values, calls] = await Promise.all(asked);
      if (this.#is(of)) {
        this.#tellAccount(presence, inbox, calls.items);
        this.#tellAttributes(values.attributes);
      }
    } else {
      const asked = [api.get(there), api.get(`${there}/members`, { limit: ROWS }), api.get(`${there}/attributes`)];
      const [channel, members, values] = await Promise.all(asked);
      if (this.#is(of)) {
        this.#tellChannel(channel, members);
        this.#tellAttributes(values.attributes);
      }
    }
    if (this.#is(of) && byId("about-said").dataset.state === "bad") {
      tell(byId("about-said"), "");
    }
  }

  /** @param {object} of */
  #is(of) {
    return of === this.#of && !this.#session.ended.aborted;
  }

  /**
   * @param {any} presence
   * @param {any} inbox
   * @param {any[]} calls
   */
  #tellAccount(presence, inbox, calls) {
    const now = Date.now() / 1000;
    this.#fact("State", presence.online ? (presence.lease_ends ? "online, connection lost" : "online") : "offline",
      presence.online ? (presence.lease_ends ? "wait" : "good") : "");
    this.#fact("Channel", presence.channels.map((/** @type {string} */ it) => shown(it)).join(", ") || "–");
    this.#fact("Device", shown(presence.device || "–"));
    this.#fact("Here for", presence.since ? lasted(now - presence.since) : "–");
    this.#fact("Lease ends", presence.lease_ends ? clock(presence.lease_ends * 1000) : "–");
    this.#fact("Inbox", inbox.entries ? `${counted(inbox.entries, "entry", "entries")}, ${size(inbox.bytes)}` : "empty");
    this.#fact("Calls", calls.map((it) => `${shown(it.caller)} → ${shown(it.callee)}, ${it.state}`).join("; ") || "none");
    this.#enable("Kick", presence.online);
    this.#enable("Remove", presence.channel !== null);
    this.#channel = presence.channel;
  }

  /** @type {string|null} */
  #channel = null;

  /**
   * @param {any} channel
   * @param {{items: any[], cursor: string}} members
   */
  #tellChannel(channel, members) {
    this.#fact("Members", count(channel.members));
    this.#fact("Joins so far", count(channel.joins));
    this.#fact("Last event", count(channel.last_msgid));
    this.#fact("Empty for", channel.idle_since ? lasted(Date.now() / 1000 - channel.idle_since) : "–");
    this.#fact("Shown", members.cursor ? `the first ${members.items.length}` : "all members");
    this.#members?.show(members.items);
  }

  /** @param {Record<string, unknown>} values */
  #tellAttributes(values) {
    const rows = Object.entries(values).map(([name, value]) => [
      shown(name),
      shown(typeof value === "string" ? value : JSON.stringify(value), MAX_VALUE_CHARS),
    ]);
    const text = JSON.stringify(rows);
    if (this.#attributes.dataset.text !== text) {
      this.#attributes.dataset.text = text;
      const pairs = rows.map(([name, value]) => make("div", {}, make("dt", {}, make("bdi", {}, name)), make("dd", {}, make("bdi", {}, value))));
      this.#attributes.replaceChildren(...(pairs.length ? pairs : [make("div", {}, make("dd", { class: "faint" }, "none"))]));
    }
  }

  /**
   * @param {string} name
   * @param {string} text
   * @param {string} [state]
   */
  #fact(name, text, state = "") {
    let value = this.#facts.get(name);
    if (!value) {
      value = make("dd", {}, make("bdi"));
      this.#facts.set(name, /** @type {HTMLElement} */ (value));
      byId("facts").append(make("div", {}, make("dt", {}, name), /** @type {HTMLElement} */ (value)));
    }
    const element = /** @type {HTMLElement} */ (value);
    element.dataset.state = state;
    say(/** @type {Element} */ (element.firstElementChild), text);
  }

  /**
   * @param {HTMLTableElement} table
   * @param {string} channel
   */
  #membersOf(table, channel) {
    /** @type {import("./table.js").Column<any>[]} */
    const columns = [
      { head: "Account", kind: "name", text: (it) => shown(it.account), act: (it) => this.look("account", it.account),
        label: (it) => `Look at the account ${shown(it.account)}` },
    ];
    if (this.#session.may("kick")) {
      columns.push({ head: "Remove", kind: "act", width: "6rem", text: () => "Remove", act: (it) => this.#remove(it.account, channel),
        label: (it) => `Remove ${shown(it.account)} from ${shown(channel)}` });
    }
    return new Table(table, "Members", columns, (it) => it.account);
  }

  /**
   * @param {string} kind
   * @param {string} name
   */
  #offer(kind, name) {
    const session = this.#session;
    this.#buttons.clear();
    if (session.may("events")) {
      this.#buttons.set("Follow", button("Follow", () => this.#acts.follow({ [kind]: name }), { class: "quiet", "aria-label": "Follow its events" }));
    }
    if (session.may("send")) {
      this.#buttons.set("Write", button("Write", () => this.#acts.write(kind, name), { class: "quiet" }));
    }
    if (session.may("kick") && kind === "account") {
      const remove = button("Remove from channel", () => this.#channel !== null && this.#remove(name, this.#channel), { class: "danger", disabled: "" });
      this.#buttons.set("Remove", remove);
      this.#buttons.set("Kick", button("Kick", () => this.#kick(name), { class: "danger", disabled: "" }));
    }
    const acts = byId("about-acts");
    acts.hidden = this.#buttons.size === 0;
    acts.replaceChildren(...this.#buttons.values());
  }

  /**
   * @param {string} name
   * @param {boolean} isUseful
   */
  #enable(name, isUseful) {
    const found = this.#buttons.get(name);
    if (found && found.disabled === isUseful) {
      if (found === document.activeElement) {
        byId("about-title").focus();
      }
      found.disabled = !isUseful;
    }
  }

  /** @param {string} account */
  async #kick(account) {
    const name = shown(account);
    if (await isSure(`Kick ${name}?`, "Its session ends at once (103). It is no ban: whoever has a good token may come again.", "Kick")) {
      await this.#act(`${name} was kicked.`, `${place("accounts", account)}/session`);
    }
  }

  /**
   * @param {string} account
   * @param {string} channel
   */
  async #remove(account, channel) {
    const [name, where] = [shown(account), shown(channel)];
    if (await isSure(`Remove ${name} from ${where}?`, "It leaves the channel at once (601). It is no ban: it may join again.", "Remove")) {
      await this.#act(`${name} was removed from ${where}.`, place("channels", channel, "members", account));
    }
  }

  /**
   * @param {string} done what is said of it
   * @param {string} path
   */
  async #act(done, path) {
    const said = byId("about-said");
    try {
      await this.#session.api.remove(`${this.#session.place}/${path}`);
      await this.refresh();
      tell(said, done, "good");
    } catch (error) {
      this.#session.failed(error, said);
    }
  }
}
