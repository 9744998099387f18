/**
 * Sending a message to an account or a channel.
 *
 * Owns: that what may have arrived is not sent twice. Must not know who is there.
 */

import { newOnce, place, Problem } from "./api.js";
import { byId, tell } from "./dom.js";
import { shown } from "./text.js";

/** @typedef {import("./session.js").Session} Session */

export class Send {
  #session;
  /** What was sent of which nobody knows whether it has arrived. */
  #open = { text: "", once: "" };

  /** @param {Session} session */
  constructor(session) {
    this.#session = session;
    byId("send-form").addEventListener(
      "submit",
      (/** @type {Event} */ event) => {
        event.preventDefault();
        this.#send();
      },
      { signal: session.ended },
    );
    byId("send-message").addEventListener(
      "keydown",
      (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          byId("send-form").requestSubmit();
        }
      },
      { signal: session.ended },
    );
  }

  /**
   * Prepare to write to somebody.
   * @param {string} kind
   * @param {string} name
   */
  write(kind, name) {
    byId("send-kind").value = kind;
    byId("send-name").value = name;
    byId("send-message").focus();
  }

  async #send() {
    const [kind, name] = [byId("send-kind").value, byId("send-name").value];
    const [message, sender] = [byId("send-message").value, byId("send-sender").value];
    const said = byId("send-said");
    const text = JSON.stringify([this.#session.app, kind, name, message, sender]);
    const once = text === this.#open.text ? this.#open.once : newOnce();
    this.#open = { text: "", once: "" };
    tell(said, "Sending …");
    try {
      const path = `${this.#session.place}/${place(`${kind}s`, name)}/messages`;
      await this.#session.api.post(path, sender ? { message, sender } : { message }, once);
      byId("send-message").value = "";
      tell(said, `Sent to ${shown(name)}.`, "good");
    } catch (error) {
      if (error instanceof Problem && error.isPassing) {
        this.#open = { text, once };
      }
      this.#session.failed(error, said);
    }
  }
}
