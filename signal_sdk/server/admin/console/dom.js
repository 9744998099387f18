/**
 * The page's elements: found, made, and changed only where they are to say something else.
 *
 * Owns: that text stays text. Must not know what is shown.
 */

/**
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error(`the page has no ${id}`);
  }
  return found;
}

/**
 * A new element with this text, or these children.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(string|Node)} children
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/**
 * A button that does something.
 * @param {string} text
 * @param {() => void} act
 * @param {Record<string, string>} [attributes]
 * @returns {HTMLButtonElement}
 */
export function button(text, act, attributes = {}) {
  const element = make("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", act);
  return element;
}

/**
 * @param {Node} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/**
 * Say what became of something.
 * @param {HTMLElement} element
 * @param {string} text
 * @param {"good"|"bad"|""} [how]
 */
export function tell(element, text, how = "") {
  element.dataset.state = how;
  say(element, text);
}

/**
 * Ask whether something is to be done that cannot be undone.
 * @param {string} title
 * @param {string} text
 * @param {string} verb
 * @returns {Promise<boolean>}
 */
export function isSure(title, text, verb) {
  const dialog = byId("sure");
  say(byId("sure-title"), title);
  say(byId("sure-text"), text);
  say(byId("sure-yes"), verb);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}
