/**
 * Asking the admin API: a request with the key, and its failure as one line.
 *
 * Owns: the key while the console is open. Must not know what is asked, nor how it is shown. The
 * key is in a header, never in an address.
 */

const SECONDS = 15;

/** What was asked has failed; the message is one line, `status` that of HTTP, 0 where nothing came. */
export class Problem extends Error {
  /**
   * @param {string} detail
   * @param {number} status
   */
  constructor(detail, status) {
    super(detail);
    this.name = "Problem";
    this.status = status;
  }

  /** Is it for want of a right key? */
  get isShutOut() {
    return this.status === 401;
  }

  /** May it have been done all the same, or can it be done later? */
  get isPassing() {
    return this.status === 0 || this.status >= 500;
  }
}

/**
 * A path whose parts are each escaped by itself.
 * @param {...string} parts
 * @returns {string}
 */
export function place(...parts) {
  return parts
    .map((part) => {
      if (part === "." || part === ".." || !part.isWellFormed()) {
        throw new Problem(`a browser cannot ask about the name ${JSON.stringify(part)}: use the API`, 422);
      }
      return encodeURIComponent(part);
    })
    .join("/");
}

export class Api {
  #key;

  /** @param {string} key */
  constructor(key) {
    if (!/^[!-~]+$/.test(key)) {
      throw new Problem("a key has visible ASCII characters only", 401);
    }
    this.#key = key;
  }

  /**
   * The answer to a request, whatever it is made of. Raises `Problem`.
   * @param {string} path
   * @param {RequestInit & {headers?: Record<string, string>}} [how]
   * @returns {Promise<Response>}
   */
  async ask(path, how = {}) {
    let answer;
    try {
      answer = await fetch(path, {
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: AbortSignal.timeout(SECONDS * 1000),
        ...how,
        headers: { ...how.headers, Authorization: `Bearer ${this.#key}` },
      });
    } catch (error) {
      throw unreached(error);
    }
    if (!answer.ok) {
      throw await problemOf(answer);
    }
    return answer;
  }

  /**
   * What stands at a path, of an optional query.
   * @param {string} path
   * @param {Record<string, string|number>} [query]
   * @returns {Promise<any>}
   */
  async get(path, query = {}) {
    const asked = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, `${value}`]));
    const answer = await this.ask(asked.size ? `${path}?${asked}` : path);
    return whole(answer.json());
  }

  /** @param {string} path */
  async text(path) {
    return whole((await this.ask(path, { headers: { Accept: "text/plain;version=0.0.4" } })).text());
  }

  /**
   * Do something, once for each `once`.
   * @param {string} path
   * @param {object} body
   * @param {string} once
   */
  async post(path, body, once) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": once };
    await this.ask(path, { method: "POST", body: JSON.stringify(body), headers });
  }

  /** @param {string} path */
  async remove(path) {
    await this.ask(path, { method: "DELETE" });
  }
}

/**
 * A name for something that must not be done twice.
 * @returns {string}
 */
export function newOnce() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @template T
 * @param {Promise<T>} body
 * @returns {Promise<T>}
 */
async function whole(body) {
  try {
    return await body;
  } catch (error) {
    throw unreached(error);
  }
}

/** @param {unknown} error */
function unreached(error) {
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return new Problem(`the server has not answered for ${SECONDS} s`, 0);
  }
  return new Problem("the server cannot be reached", 0);
}

/** @param {Response} answer */
async function problemOf(answer) {
  let detail = "";
  try {
    detail = (await answer.json()).detail;
  } catch {
    // Whoever has answered is not the server: a proxy, by its own page.
  }
  return new Problem(typeof detail === "string" && detail ? detail : `the answer was ${answer.status}`, answer.status);
}
