"use strict";
for (const section of document.querySelectorAll("section:has(table.gallery)")) {
  const PATIENT = 7;
  const body = section.querySelector("table.gallery tbody");
  const heads = [...section.querySelectorAll("th[data-sort]")];
  const by = section.querySelector(".by");
  const down = section.querySelector(".down");
  const rows = [...body.rows].map((row) => ({
    row,
    values: row.dataset.values.split(" ").map(Number),
    name: row.querySelector("th").textContent.trim(),
  }));
  const sort = () => {
    const column = Number(by.value);
    const sign = down.checked ? -1 : 1;
    const found = [...rows].sort((a, b) => {
      if (column === PATIENT) return sign * a.name.localeCompare(b.name);
      const [x, y] = [a.values[column], b.values[column]];
      // what is not defined comes last in either order
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return sign * (x - y);
    });
    body.append(...found.map((entry) => entry.row));
    for (const head of heads) {
      if (Number(head.dataset.sort) === column) {
        head.setAttribute("aria-sort", down.checked ? "descending" : "ascending");
      } else {
        head.removeAttribute("aria-sort");
      }
    }
  };
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      down.checked = by.value === head.dataset.sort && !down.checked;
      by.value = head.dataset.sort;
      sort();
    });
  }
  by.addEventListener("change", sort);
  down.addEventListener("change", sort);
  section.querySelector(".sorting").hidden = false;
}

// Two patients in frames; what one shows, the other shows too. The address keeps who they are.
const chooser = document.querySelector(".beside-chooser");
if (chooser) {
  const selects = [...chooser.querySelectorAll("select")];
  let last = null;
  const show = () => {
    chooser.querySelector(".pair")?.remove();
    const pair = document.createElement("div");
    pair.className = "pair";
    for (const select of selects) {
      const frame = document.createElement("iframe");
      frame.title = "Patient " + select.selectedOptions[0].text;
      frame.src = select.value + "?beside";
      frame.addEventListener("load", () => { if (last) frame.contentWindow.postMessage(last, "*"); });
      pair.append(frame);
    }
    chooser.append(pair);
    history.replaceState(null, "", "#beside=" + selects.map((select) => encodeURIComponent(select.value)).join("&"));
  };
  window.addEventListener("message", (event) => {
    last = event.data;
    for (const frame of chooser.querySelectorAll("iframe")) {
      if (frame.contentWindow !== event.source) frame.contentWindow.postMessage(event.data, "*");
    }
  });
  chooser.querySelector(".show").addEventListener("click", show);
  chooser.hidden = false;
  const wanted = location.hash.match(/^#beside=([^&]+)&([^&]+)$/);
  if (wanted) {
    selects.forEach((select, place) => { select.value = decodeURIComponent(wanted[place + 1]); });
    if (selects.every((select) => select.value)) show();
  }
}
