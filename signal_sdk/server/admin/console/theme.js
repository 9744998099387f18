/**
 * Dark and light: as the system, unless somebody has chosen.
 *
 * Owns: the choice, which alone outlives the tab. Must not know what is coloured.
 */

import { byId } from "./dom.js";

const NAME = "signal-sdk.theme";
const SYSTEM = matchMedia("(prefers-color-scheme: dark)");

/**
 * Offer the choice; `changed` is called after each change of the colours.
 * @param {() => void} changed
 */
export function offerThemes(changed) {
  const choice = byId("theme");
  function take() {
    document.documentElement.dataset.theme = choice.value;
    changed();
  }
  const kept = localStorage.getItem(NAME);
  choice.value = kept === "light" || kept === "dark" ? kept : "auto";
  choice.addEventListener("change", () => {
    localStorage.setItem(NAME, choice.value);
    take();
  });
  SYSTEM.addEventListener("change", take);
  take();
}

/**
 * A colour of the style sheet, as a canvas takes it.
 * @param {string} name
 * @returns {string}
 */
export function colour(name) {
  const probe = byId("probe");
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}
