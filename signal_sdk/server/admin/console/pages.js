/**
 * A list that comes in pages: a part of it at a time, and those of it that a filter wants.
 *
 * Owns: where one is in it. Must not know what is listed. Nothing here touches the page.
 */

export const ROWS = 50;
const SEARCH_PAGE = 1000;
const MAX_SEARCHED = 20_000;

/** @typedef {{items: any[], cursor: string}} Part */
/** @typedef {(query: {cursor: string, limit: number}) => Promise<Part>} Fetch */

export class Pages {
  /** Where the part that is shown begins. */
  cursor = "";
  /** Where the next one does; empty at the end. */
  next = "";

  /** Go back to the beginning. */
  rewind() {
    this.cursor = this.next = "";
  }

  /** Go on to the next part. */
  advance() {
    this.cursor = this.next;
  }

  /**
   * The rows of this part that `isWanted`, how many were looked at, and where the next part begins.
   * @param {Fetch} fetch
   * @param {((row: any) => boolean)|null} isWanted
   * @returns {Promise<{rows: any[], searched: number, next: string}>}
   */
  async read(fetch, isWanted) {
    let cursor = this.cursor;
    const rows = [];
    let searched = 0;
    do {
      const part = await fetch({ cursor, limit: isWanted ? SEARCH_PAGE : ROWS });
      searched += part.items.length;
      rows.push(...(isWanted ? part.items.filter(isWanted) : part.items));
      cursor = part.cursor;
      // A page may be short, or empty, and yet not the last.
    } while (cursor && rows.length < ROWS && searched < MAX_SEARCHED);
    return { rows, searched, next: cursor };
  }
}
