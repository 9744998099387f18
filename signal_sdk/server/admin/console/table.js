/**
 * A table whose rows stay where they are while what they say changes.
 *
 * Owns: the rows, by their keys, so that neither the focus nor a press is lost. Must not know what
 * a row is about.
 */

import { button, make, say } from "./dom.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} head
 * @property {(row: Row) => string} text
 * @property {"name"|"number"|"text"|"act"} [kind]
 * @property {(row: Row) => void} [act] what a press does
 * @property {(row: Row) => string} [label] what a press does, in words
 * @property {(row: Row) => string} [state] how it is coloured
 * @property {string} [width]
 */

/** @template Row */
export class Table {
  /** @type {Map<string, {element: HTMLTableRowElement, row: Row}>} */
  #rows = new Map();

  /**
   * @param {HTMLTableElement} element
   * @param {string} caption
   * @param {Column<Row>[]} columns
   * @param {(row: Row) => string} keyOf
   */
  constructor(element, caption, columns, keyOf) {
    this.element = element;
    this.columns = columns;
    this.keyOf = keyOf;
    const heads = columns.map((it) => {
      const head = make("th", { scope: "col", "data-kind": it.kind ?? "text" });
      head.append(it.kind === "act" ? make("span", { class: "out-of-sight" }, it.head) : it.head);
      if (it.width) {
        head.style.width = it.width;
      }
      return head;
    });
    element.replaceChildren(
      make("caption", { class: "out-of-sight" }, caption),
      make("thead", {}, make("tr", {}, ...heads)),
      make("tbody"),
    );
  }

  /** @param {Row[]} rows */
  show(rows) {
    const body = this.element.tBodies[0];
    const before = this.#rows;
    this.#rows = new Map();
    let next = body.firstElementChild;
    for (const row of rows) {
      const key = this.keyOf(row);
      if (this.#rows.has(key)) {
        continue;
      }
      const known = before.get(key) ?? this.#made();
      before.delete(key);
      known.row = row;
      this.#rows.set(key, known);
      this.#fill(known);
      if (known.element === next) {
        next = next.nextElementSibling;
      } else {
        body.insertBefore(known.element, next);
      }
    }
    for (const { element } of before.values()) {
      const hadFocus = element.contains(document.activeElement);
      element.remove();
      if (hadFocus) {
        /** @type {HTMLElement|null} */ (body.querySelector("button") ?? this.element.closest("[tabindex]"))?.focus();
      }
    }
  }

  #made() {
    const known = { element: make("tr"), row: /** @type {any} */ (null) };
    for (const column of this.columns) {
      const kind = column.kind ?? "text";
      const cell = make(kind === "name" ? "th" : "td", kind === "name" ? { scope: "row", "data-kind": kind } : { "data-kind": kind });
      if (column.act) {
        const { act } = column;
        cell.append(button("", () => act(known.row), { class: kind === "act" ? "small danger" : "link" }));
      } else {
        cell.append(make("bdi"));
      }
      known.element.append(cell);
    }
    return known;
  }

  /** @param {{element: HTMLTableRowElement, row: Row}} known */
  #fill({ element, row }) {
    this.columns.forEach((column, index) => {
      const cell = element.cells[index];
      const inner = /** @type {HTMLElement} */ (cell.firstElementChild);
      const text = column.text(row);
      say(inner, text);
      inner.hidden = !text;
      if (column.label) {
        inner.setAttribute("aria-label", column.label(row));
      }
      if (column.state) {
        cell.dataset.state = column.state(row);
      }
      if (column.kind !== "act" && cell.title !== text) {
        cell.title = text;
      }
    });
  }
}
