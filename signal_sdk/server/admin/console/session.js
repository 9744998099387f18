/**
 * One opening of the console: a key, what it may do, and the app that is looked at.
 *
 * Owns: these, and what is done with a failure. Must not know what is asked.
 */

import { Api, place, Problem } from "./api.js";
import { tell } from "./dom.js";
import { pause } from "./stream.js";

/** @typedef {{name: string, app: string, rights: string[], apps: string[]}} Holds */

export class Session {
  #end = new AbortController();

  /**
   * @param {Api} api
   * @param {Holds} holds
   * @param {string} app
   * @param {(problem: Problem) => void} shutOut what is done where the key is none any more
   */
  constructor(api, holds, app, shutOut) {
    this.api = api;
    this.holds = holds;
    this.app = app;
    this.shutOut = shutOut;
    /** Where what the app has is asked for. */
    this.place = `v1/apps/${app ? place(app) : ""}`;
  }

  /** Aborted once the session is over. */
  get ended() {
    return this.#end.signal;
  }

  /** What begins with it ends here. */
  end() {
    this.#end.abort();
  }

  /** @param {string} right */
  may(right) {
    return this.holds.rights.includes(right);
  }

  /** Is the key one for the whole server? */
  get isForAll() {
    return this.holds.app === "*";
  }

  /**
   * Say why something has failed.
   * @param {unknown} error
   * @param {HTMLElement|null} where
   */
  failed(error, where) {
    if (!(error instanceof Problem)) {
      throw error;
    }
    if (error.isShutOut) {
      this.shutOut(error);
    } else if (where && !this.ended.aborted) {
      tell(where, error.message, "bad");
    }
  }

  /**
   * Do something again and again, with pauses, as long as the session lasts; where it takes long,
   * the pauses are longer.
   * @param {number} seconds
   * @param {() => Promise<void>} act
   * @param {(error: unknown) => void} failed
   */
  async every(seconds, act, failed) {
    while (!this.ended.aborted) {
      const began = performance.now();
      try {
        await act();
      } catch (error) {
        if (this.ended.aborted) {
          return;
        }
        failed(error);
      }
      const took = (performance.now() - began) / 1000;
      await pause(Math.max(seconds, 5 * took), this.ended);
    }
  }
}
