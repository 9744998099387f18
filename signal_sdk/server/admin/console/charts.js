/**
 * Live charts of some numbers over the last minutes.
 *
 * Owns: how a chart looks, and how much it keeps. Must not know where its numbers come from. uPlot
 * draws the lines.
 */

import { make, say } from "./dom.js";
import { brief, clock } from "./text.js";
import { colour } from "./theme.js";
import uPlot from "./uPlot.esm.js";

const WINDOW_SECONDS = 300;
/** How much of it is shown at first: it grows with what there is. */
const LEAST_SECONDS = 60;
const HEIGHT = 132;
const AXIS_WIDTH = 44;

/** @typedef {{label: string, colour: string}} Line */

export class Chart {
  /** @type {(number|null)[][]} */
  #points;
  #shown;
  #values;
  #plot;

  /**
   * @param {Element} parent
   * @param {string} title
   * @param {string} unit
   * @param {Line[]} lines
   */
  constructor(parent, title, unit, lines) {
    this.#points = [[], ...lines.map(() => [])];
    this.#values = lines.map(() => make("dd", {}, "–"));
    const legend = lines.map((line, index) =>
      make("div", {}, make("dt", { "data-colour": line.colour }, line.label), this.#values[index]),
    );
    this.#shown = make("span", { class: "faint when" });
    const canvas = make("div", { class: "plot", role: "img", "aria-label": `${title}, ${unit}, over the last five minutes at most` });
    const heading = make("h3", {}, title, " ", make("span", { class: "faint" }, unit), this.#shown);
    const figure = make("figure", { class: "panel chart" }, make("figcaption", {}, heading, make("dl", {}, ...legend)), canvas);
    parent.append(figure);
    this.#plot = new uPlot(this.#options(lines), /** @type {any} */ (this.#points), canvas);
    new ResizeObserver(() => this.#plot.setSize({ width: Math.max(120, canvas.clientWidth), height: HEIGHT })).observe(canvas);
  }

  /**
   * @param {number} at in seconds
   * @param {(number|null)[]} values one of each line
   */
  add(at, values) {
    const [times] = this.#points;
    times.push(at);
    values.forEach((value, index) => this.#points[index + 1].push(value));
    while (/** @type {number} */ (times[0]) < at - WINDOW_SECONDS) {
      this.#points.forEach((it) => it.shift());
    }
    this.#plot.setData(/** @type {any} */ (this.#points));
    this.#tell();
  }

  /** Draw it in the colours of now. */
  redraw() {
    this.#plot.redraw(false);
  }

  #tell() {
    const index = this.#plot.cursor.idx ?? this.#points[0].length - 1;
    this.#values.forEach((element, line) => say(element, brief(this.#points[line + 1][index])));
    const isPast = this.#plot.cursor.idx !== null && this.#plot.cursor.idx !== undefined;
    say(this.#shown, isPast ? clock((this.#points[0][index] ?? 0) * 1000) : "");
  }

  /** @param {Line[]} lines */
  #options(lines) {
    const faint = () => colour("faint");
    const grid = { stroke: () => colour("line"), width: 1 };
    const font = "11px system-ui, sans-serif";
    return {
      width: 320,
      height: HEIGHT,
      padding: [6, 20, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      hooks: { setCursor: [() => this.#plot && this.#tell()] },
      scales: {
        x: { range: (/** @type {any} */ _, /** @type {number} */ first, /** @type {number} */ last) => [Math.min(first, last - LEAST_SECONDS), last] },
        y: { range: (/** @type {any} */ _, /** @type {any} */ __, /** @type {number|null} */ most) => [0, most ? most * 1.15 : 1] },
      },
      axes: [
        {
          stroke: faint, grid: { show: false }, ticks: { show: false }, font, size: 22, space: 70,
          values: (/** @type {any} */ _, /** @type {number[]} */ ticks, /** @type {any} */ __, /** @type {any} */ ___, /** @type {number} */ step) =>
            ticks.map((it) => clock(it * 1000).slice(0, step < 60 ? 8 : 5)),
          incrs: [15, 30, 60, 120, 300],
        },
        {
          stroke: faint, grid, ticks: { show: false }, font, size: AXIS_WIDTH, space: 32, gap: 4,
          values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map(brief),
        },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.label,
          stroke: () => colour(line.colour),
          fill: () => colour(`${line.colour}-wash`),
          width: 1.5,
          points: { show: false },
        })),
      ],
    };
  }
}
