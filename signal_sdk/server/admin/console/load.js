/**
 * What the node that answers does: its charts and figures, from `/metrics`.
 *
 * Owns: which numbers are shown. Must not know how a chart is drawn, nor how the metrics are read.
 */

import { Chart } from "./charts.js";
import { byId, make, say } from "./dom.js";
import { Look, parse } from "./metrics.js";
import { brief } from "./text.js";

/** @typedef {(look: Look, before: Look|null) => (number|null)[]} Values */

/** @type {{title: string, unit: string, lines: import("./charts.js").Line[], values: Values}[]} */
const CHARTS = [
  {
    title: "Messages",
    unit: "a second",
    lines: [{ label: "received", colour: "one" }, { label: "sent", colour: "two" }],
    values: (look, before) => [look.rate(before, "messages_received_total"), look.rate(before, "messages_sent_total")],
  },
  {
    title: "Deliveries",
    unit: "a second",
    lines: [{ label: "to members of channels", colour: "one" }],
    values: (look, before) => [look.rate(before, "deliveries_total")],
  },
  {
    title: "Connections",
    unit: "now",
    lines: [{ label: "logged in", colour: "one" }, { label: "not yet", colour: "two" }],
    values: (look) => [look.now("connections"), look.now("connections_not_logged_in")],
  },
  {
    title: "Loop lag",
    unit: "ms",
    lines: [{ label: "mean", colour: "one" }, { label: "worst, at most", colour: "two" }],
    values: (look, before) => {
      const { mean, most } = look.spread(before, "loop_lag_seconds");
      return [mean, most].map((it) => (it === null ? null : it * 1000));
    },
  },
];

/** @type {[string, string, (look: Look, before: Look|null) => number|null][]} */
const FIGURES = [
  ["Online", "accounts, on all nodes", (look) => look.now("accounts_online")],
  ["Channels", "on all nodes", (look) => look.now("channels")],
  ["Calls", "live, on all nodes", (look) => look.now("calls")],
  ["Inboxes", "entries that wait", (look) => look.now("inbox_entries")],
  ["Logins", "answers a second", (look, before) => look.rate(before, "logins_total")],
  ["Refusals", "a second", (look, before) => look.rate(before, "refusals_total")],
  ["In", "bytes a second", (look, before) => look.rate(before, "received_bytes_total")],
  ["Out", "bytes a second", (look, before) => look.rate(before, "sent_bytes_total")],
  ["Slow readers", "connections", (look) => look.now("slow_readers")],
  ["CPU", "% of a core", (look, before) => percent(look.rate(before, "process_cpu_seconds_total", ""))],
];

/** @param {number|null} part */
function percent(part) {
  return part === null ? null : part * 100;
}

export class Load {
  /** @type {Look|null} */
  #before = null;
  #charts;
  #figures;

  constructor() {
    this.#charts = CHARTS.map((it) => new Chart(byId("charts"), it.title, it.unit, it.lines));
    this.#figures = FIGURES.map(([name, unit]) => {
      const value = make("dd", {}, "–");
      byId("figures").append(make("div", { title: unit }, make("dt", {}, name), value));
      return value;
    });
  }

  /**
   * Look at what there is.
   * @param {import("./api.js").Api} api
   */
  async look(api) {
    const look = new Look(parse(await api.text("metrics")), Date.now() / 1000);
    CHARTS.forEach((it, index) => this.#charts[index].add(look.at, it.values(look, this.#before)));
    FIGURES.forEach(([, , value], index) => say(this.#figures[index], brief(value(look, this.#before))));
    this.#before = look;
  }

  /** Draw all in the colours of now. */
  redraw() {
    this.#charts.forEach((it) => it.redraw());
  }
}
