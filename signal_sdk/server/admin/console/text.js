/**
 * Foreign names, times and numbers as a person reads them.
 *
 * Owns: that a name shows all that it holds. Must not know where any of it stands. Nothing here
 * touches the page.
 */

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu;
const MAX_CHARS = 300;

/**
 * Foreign text in one line, in which whatever cannot be seen, or turns the line's direction, is
 * spelled out.
 * @param {unknown} text
 * @param {number} [most]
 * @returns {string}
 */
export function shown(text, most = MAX_CHARS) {
  const line = String(text).replace(HIDDEN, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
  return line.length > most ? `${line.slice(0, most).replace(/[\ud800-\udbff]$/, "")}…` : line;
}

/** @param {number} bytes */
export function size(bytes) {
  return counted(bytes, "byte", "bytes");
}

/**
 * @param {number} number
 * @param {string} one
 * @param {string} many
 * @returns {string}
 */
export function counted(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** @param {number} number */
export function count(number) {
  return number.toLocaleString("en");
}

/**
 * A number in five characters at most, for an axis or a figure.
 * @param {number|null|undefined} number
 * @returns {string}
 */
export function brief(number) {
  if (number === null || number === undefined || Number.isNaN(number)) {
    return "–";
  }
  for (const [least, letter] of /** @type {[number, string][]} */ ([[1e9, "G"], [1e6, "M"], [1e4, "k"]])) {
    if (number >= least) {
      const scaled = number / (letter === "k" ? 1e3 : least);
      return `${scaled >= 100 ? Math.round(scaled) : Number(scaled.toFixed(1))}${letter}`;
    }
  }
  return `${number >= 100 ? Math.round(number) : Number(number.toFixed(number >= 10 ? 1 : 2))}`;
}

/**
 * A time of day.
 * @param {number} ms Unix milliseconds
 * @returns {string}
 */
export function clock(ms) {
  const at = new Date(ms);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => `${part}`.padStart(2, "0")).join(":");
}

/**
 * How long something has lasted, by its two largest units.
 * @param {number} seconds
 * @returns {string}
 */
export function lasted(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) {
    return `${whole} s`;
  }
  if (whole < 3600) {
    return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  }
  if (whole < 86400) {
    return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
  }
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}
