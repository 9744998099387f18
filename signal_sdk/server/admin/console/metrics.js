/**
 * What `/metrics` says, as numbers: its text form, and what two looks at it tell.
 *
 * Owns: reading the form, and what a counter's two values make. Must not know what is shown.
 * Nothing here touches the page.
 */

/** @typedef {{labels: Record<string, string>, value: number}} Sample */
/** @typedef {Map<string, Sample[]>} Samples */

const COUNTER = /^# TYPE (\S+) counter$/;
const LINE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?$/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const PREFIX = "signal_sdk_";

/**
 * @param {string} text the text form 0.0.4
 * @returns {Samples}
 */
export function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const counter = COUNTER.exec(line);
    if (counter && !found.has(counter[1])) {
      // A counter that has counted nothing yet may have no sample.
      found.set(counter[1], []);
    }
    const match = line.startsWith("#") ? null : LINE.exec(line.trim());
    if (match) {
      const [, name, labels = "", value] = match;
      const samples = found.get(name) ?? [];
      samples.push({ labels: labelsOf(labels), value: numberOf(value) });
      found.set(name, samples);
    }
  }
  return found;
}

/** @param {string} text */
function labelsOf(text) {
  const found = Object.create(null);
  for (const [, name, value] of text.matchAll(LABEL)) {
    found[name] = value.replace(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char));
  }
  return found;
}

/** @param {string} text */
function numberOf(text) {
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}

/**
 * The sum of a metric's samples; null where there are none.
 * @param {Samples} samples
 * @param {string} name
 * @returns {number|null}
 */
export function total(samples, name) {
  const found = samples.get(name);
  return found ? found.reduce((sum, it) => sum + it.value, 0) : null;
}

/** One look at the metrics. */
export class Look {
  /**
   * @param {Samples} samples
   * @param {number} at in seconds
   */
  constructor(samples, at) {
    this.samples = samples;
    this.at = at;
    this.began = total(samples, "process_start_time_seconds");
  }

  /**
   * How much there is of something now.
   * @param {string} name
   */
  now(name) {
    return total(this.samples, PREFIX + name);
  }

  /**
   * By how much a counter has risen each second since `before`; null where that cannot be said.
   * @param {Look|null} before
   * @param {string} name
   * @param {string} [prefix]
   * @returns {number|null}
   */
  rate(before, name, prefix = PREFIX) {
    const risen = this.#risen(before, prefix + name);
    return risen === null || before === null ? null : risen / (this.at - before.at);
  }

  /**
   * The mean of what a histogram has seen since `before`, and the bound below which the greatest of
   * it is; nulls where it has seen nothing.
   * @param {Look|null} before
   * @param {string} name
   * @returns {{mean: number|null, most: number|null}}
   */
  spread(before, name) {
    const seen = this.#risen(before, `${PREFIX}${name}_count`);
    const sum = this.#risen(before, `${PREFIX}${name}_sum`);
    if (!seen || sum === null) {
      return { mean: null, most: null };
    }
    const then = bounds(/** @type {Look} */ (before).samples, `${PREFIX}${name}_bucket`);
    const now = bounds(this.samples, `${PREFIX}${name}_bucket`);
    const least = [...now.keys()].sort((a, b) => a - b);
    const most = least.find((bound) => (now.get(bound) ?? 0) - (then.get(bound) ?? 0) >= seen);
    return { mean: sum / seen, most: most === undefined || most === Infinity ? least.at(-2) ?? null : most };
  }

  /**
   * Has the server begun anew since? It tells when it has begun a little otherwise each time.
   * @param {Look} before
   */
  #isAnother(before) {
    return Math.abs((this.began ?? 0) - (before.began ?? 0)) > 1;
  }

  /**
   * @param {Look|null} before
   * @param {string} name
   */
  #risen(before, name) {
    const now = total(this.samples, name);
    if (before === null || now === null || this.at <= before.at || this.#isAnother(before)) {
      return null;
    }
    // What was not there before has begun at 0.
    const risen = now - (total(before.samples, name) ?? 0);
    return risen < 0 ? null : risen;
  }
}

/**
 * A histogram's counts by their upper bounds.
 * @param {Samples} samples
 * @param {string} name
 * @returns {Map<number, number>}
 */
function bounds(samples, name) {
  return new Map((samples.get(name) ?? []).map((it) => [numberOf(it.labels.le), it.value]));
}
