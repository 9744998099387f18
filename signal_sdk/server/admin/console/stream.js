/**
 * An app's events as they happen: server-sent events, read by `fetch`, since the browser's own
 * reader of them sends no key.
 *
 * Owns: taking a stream apart, seeing that it is dead, and coming back. Must not know what an event
 * says, nor how it is shown.
 */

import { Problem } from "./api.js";

const SILENT_SECONDS = 45;
const MOST_SECONDS = 30;
const MAX_CHARS = 1024 ** 2;

/** Takes a stream of server-sent events apart, whichever way it is cut. */
export class Parser {
  #rest = "";
  #event = "";
  /** @type {string[]} */
  #data = [];
  /** The id of the last event that had one. */
  lastId = "";
  /** After how many ms the other side wants to be asked again. */
  retry = 2000;

  /**
   * The events that are whole with this.
   * @param {string} text
   * @returns {{kind: string, data: string}[]}
   */
  feed(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > MAX_CHARS) {
      throw new Problem("the event stream has a line without end", 0);
    }
    const found = [];
    for (const line of lines) {
      if (line === "" || line === "\r") {
        if (this.#data.length) {
          found.push({ kind: this.#event || "message", data: this.#data.join("\n") });
        }
        this.#event = "";
        this.#data = [];
      } else {
        this.#take(line.replace(/\r$/, ""));
      }
    }
    return found;
  }

  /** @param {string} line */
  #take(line) {
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "event") {
      this.#event = value;
    } else if (field === "data") {
      this.#data.push(value);
    } else if (field === "id") {
      this.lastId = value;
    } else if (field === "retry" && /^\d+$/.test(value)) {
      this.retry = Number(value);
    }
  }
}

/**
 * Follow an app's events until `signal` says so, coming back where the stream is lost.
 * @param {import("./api.js").Api} api
 * @param {string} path with its query
 * @param {AbortSignal} signal
 * @param {{event: (kind: string, data: any) => void, open: () => void, lost: (problem: Problem, seconds: number) => void}} told
 * @returns {Promise<Problem|null>} why nobody may follow; null where `signal` has ended it
 */
export async function follow(api, path, signal, told) {
  const parser = { lastId: "", retry: 2000 };
  let failures = 0;
  while (!signal.aborted) {
    const reading = new Parser();
    reading.lastId = parser.lastId;
    let problem = new Problem("the stream has ended", 0);
    try {
      await readOnce(api, path, signal, reading, {
        ...told,
        open: () => {
          failures = 0;
          told.open();
        },
      });
    } catch (error) {
      problem = error instanceof Problem ? error : new Problem("the stream was lost", 0);
    }
    parser.lastId = reading.lastId;
    if (signal.aborted) {
      break;
    }
    if (!problem.isPassing && problem.status !== 429) {
      return problem;
    }
    const seconds = Math.min(MOST_SECONDS, (reading.retry / 1000) * 2 ** failures);
    failures += 1;
    told.lost(problem, seconds);
    await pause(seconds, signal);
  }
  return null;
}

/**
 * @param {import("./api.js").Api} api
 * @param {string} path
 * @param {AbortSignal} signal
 * @param {Parser} parser
 * @param {{event: (kind: string, data: any) => void, open: () => void}} told
 */
async function readOnce(api, path, signal, parser, told) {
  const dead = new AbortController();
  let timer = setTimeout(() => dead.abort(), SILENT_SECONDS * 1000);
  try {
    const headers = parser.lastId ? { "Last-Event-ID": parser.lastId } : {};
    const answer = await api.ask(path, { signal: AbortSignal.any([signal, dead.signal]), headers });
    told.open();
    const reader = /** @type {ReadableStream} */ (answer.body).pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(() => dead.abort(), SILENT_SECONDS * 1000);
      for (const { kind, data } of parser.feed(part.value)) {
        told.event(kind, JSON.parse(data));
      }
    }
  } finally {
    clearTimeout(timer);
    dead.abort();
  }
}

/**
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function pause(seconds, signal) {
  return new Promise((done) => {
    const timer = setTimeout(end, seconds * 1000);
    function end() {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    }
    if (signal.aborted) {
      end();
    } else {
      signal.addEventListener("abort", end);
    }
  });
}
