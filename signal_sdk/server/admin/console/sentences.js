/**
 * What each event says, as a sentence.
 *
 * Owns: the sentences. Must not know where they stand. Names are parts of their own, so that whoever
 * shows them keeps each for itself. Nothing here touches the page.
 */

import { count, size } from "./text.js";

/** @typedef {string|{name: string}} Part */

/** The kinds of events that one can choose. */
export const KINDS = ["login", "logout", "join", "leave", "call", "absent", "message"];

const WHY = {
  logout: "logged out",
  kicked: "another login has taken the account",
  lost: "its connection was lost",
  expired: "its token is over",
  revoked: "its token was taken back",
  operator: "by whoever runs the server",
  bye: "hung up",
  refused: "refused",
  unanswered: "nobody has answered",
  offline: "the other side is offline",
  gone: "a side is gone",
};

/**
 * @param {string} why
 * @returns {string}
 */
function because(why) {
  return why ? `: ${Object.hasOwn(WHY, why) ? WHY[/** @type {keyof typeof WHY} */ (why)] : why}` : "";
}

/** @param {any} it */
function members(it) {
  return it.members === undefined ? "" : `, ${count(it.members)} there now`;
}

/** @type {Record<string, (it: any) => Part[]>} */
const SENTENCES = {
  login: (it) => [{ name: it.account }, ` is online${it.device ? ` (${it.device})` : ""}`],
  logout: (it) => [{ name: it.account }, ` is offline${because(it.why)}`],
  join: (it) => [{ name: it.account }, " joined ", { name: it.channel }, members(it)],
  leave: (it) => [{ name: it.account }, " left ", { name: it.channel }, members(it)],
  call: (it) => [{ name: it.caller }, " → ", { name: it.callee }, " about ", { name: it.channel }, `, ${it.state}${because(it.why)}`],
  absent: (it) => [{ name: it.sender }, " → ", { name: it.account }, `, ${size(it.size)} wait in the inbox`],
  message: (it) => [{ name: it.sender }, " → ", ...(it.channel ? ["channel "] : []), { name: it.channel || it.account }, `, ${size(it.size)}`],
  lost: (it) => [`${count(it.count)} events were dropped: this page was too slow`],
  missed: () => ["the stream was cut: what happened meanwhile is not told"],
};

/**
 * @param {string} kind
 * @param {any} facts
 * @returns {Part[]}
 */
export function sentence(kind, facts) {
  return Object.hasOwn(SENTENCES, kind) ? SENTENCES[kind](facts) : [JSON.stringify(facts)];
}
