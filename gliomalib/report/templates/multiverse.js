"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const { cells, printed, point } = JSON.parse(one("#data").textContent);
  const radios = all(".choices input");
  const choices = [...new Set(radios.map((radio) => radio.name))];
  const keyOf = (chosen) => choices.map((choice) => chosen[choice]).join("|");
  const places = new Map(cells.map((cell, place) => [keyOf(cell.chosen), place]));
  const percent = (share) => (100 * share).toFixed(2) + "\u00a0%";
  const chosen = () => Object.fromEntries(
    radios.filter((radio) => radio.checked).map((radio) => [radio.name, radio.value]));

  const show = () => {
    const now = chosen(), place = places.get(keyOf(now)), cell = cells[place];
    for (const radio of radios) {
      // what this option would print, all else as it is
      const other = cells[places.get(keyOf({ ...now, [radio.name]: radio.value }))];
      radio.parentNode.querySelector("output").textContent = other ? percent(other.is[0]) : "not run";
    }
    one("#here").toggleAttribute("hidden", !cell);
    one("#accuracy").textContent = cell ? percent(cell.is[0]) : "nothing";
    for (const id of ["#interval", "#verdict", "#rank"]) one(id).textContent = "";
    if (!cell) return;
    const [accuracy, low, high] = cell.is, reached = accuracy >= printed - point;
    const who = one("#data").dataset.patients;
    one("#interval").textContent =
      (low === null ? "No interval" : `95 % interval ${percent(low)} to ${percent(high)}`) + (who ? `, ${who}.` : ".");
    one("#verdict").textContent = `The paper prints ${percent(printed)}: this ` + (reached
      ? "comes within one point of it."
      : `falls ${(100 * (printed - accuracy)).toFixed(1)} points short of it.`);
    one(".answer").classList.toggle("reached", reached);
    one("#rank").textContent = `Specification ${place + 1} of ${cells.length}, counted from the lowest.`;
    one("#here circle").setAttribute("cx", cell.at.x);
    one("#here circle").setAttribute("cy", cell.at.y);
    for (const [name, value] of Object.entries({ x1: cell.at.x, x2: cell.at.x, y1: cell.at.low ?? cell.at.y, y2: cell.at.high ?? cell.at.y })) {
      one("#here line").setAttribute(name, value);
    }
  };
  const choose = (cell) => {
    for (const radio of radios) radio.checked = cell.chosen[radio.name] === radio.value;
    show();
  };
  const distance = (cell) => Math.abs(cell.is[0] - printed);
  const best = (found, score) => found.reduce((a, b) => (score(b) > score(a) ? b : a));
  const targets = {
    nearest: () => best(cells, (cell) => -distance(cell)),
    apart: () => best(cells.filter((cell) => cell.chosen.split === "patient"), (cell) => cell.is[0]),
    lowest: () => best(cells, (cell) => -cell.is[0]),
  };

  for (const radio of radios) radio.addEventListener("change", show);
  for (const button of all("[data-to]")) {
    button.addEventListener("click", () => choose(targets[button.dataset.to]()));
  }
  one(".choices").hidden = false;
  document.documentElement.classList.add("scripted");
  const first = Object.fromEntries(choices.map((name) => [name, radios.find((radio) => radio.name === name).value]));
  choose({ chosen: first });
})();
