"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const controls = one(".controls");
  const buttons = all("[data-show]", controls);
  const layers = buttons.map((button) => button.dataset.show);
  const truth = layers[0];
  const viewer = one(".viewer");
  let shown = layers[layers.length - 2];
  let prediction = shown;
  let before = null;
  let draw = () => {};

  const show = (layer, remember = true) => {
    shown = layer;
    // what is chosen while the pointer rests on a picture stays when it leaves
    if (remember) before = null;
    if (remember && layer && layer !== truth) prediction = layer;
    for (const image of all(".flicker .overlay")) {
      image.classList.toggle("on", image.dataset.layer === layer);
    }
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.show === layer));
    }
    one("#shown").textContent = "shown: " + (layer || "nothing");
    if (viewer) one("#overlay").value = layer;
    draw();
  };
  const flicker = () => show(shown === truth ? prediction : truth);
  const fade = (percent) => {
    document.documentElement.style.setProperty("--opacity", percent / 100);
    for (const input of all("#opacity, #opacity2")) input.value = percent;
    draw();
  };

  for (const button of buttons) {
    // again on what is shown already: the space key flickers after a click, too
    button.addEventListener("click", () =>
      button.dataset.show === shown ? flicker() : show(button.dataset.show));
  }
  one("[data-flicker]").addEventListener("click", flicker);
  for (const input of all("#opacity, #opacity2")) {
    input.addEventListener("input", () => fade(input.value));
  }
  for (const row of all(".flicker")) {
    row.addEventListener("pointerenter", () => {
      const resting = shown;
      show(shown === truth ? prediction : truth, false);
      before = resting;
    });
    row.addEventListener("pointerleave", () => {
      if (before !== null) show(before, false);
      before = null;
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !one("#keys").checked) return;
    if (event.target.closest("select, textarea")) return;
    if (event.key === " ") {
      if (event.target.closest("a, button, input, summary, [tabindex]")) return;
      event.preventDefault();
      flicker();
      return;
    }
    const button = buttons.find((found) => found.dataset.key === event.key.toLowerCase());
    if (button) show(button.dataset.show);
  });

  if (viewer) {
    const canvas = one(".viewer canvas");
    const pen = canvas.getContext("2d");
    const slider = one("#z");
    const { width, height, depth, columns, step } =
      Object.fromEntries(Object.entries(viewer.dataset).map(([key, text]) => [key, Number(text)]));
    const mosaic = (kind, name) =>
      all("img", viewer).find((image) => image.dataset[kind] === name);
    draw = () => {
      const z = Number(slider.value);
      const x = (z % columns) * width;
      const y = Math.floor(z / columns) * height;
      const lay = (image) => {
        if (image && image.complete) pen.drawImage(image, x, y, width, height, 0, 0, width, height);
      };
      pen.globalAlpha = 1;
      pen.clearRect(0, 0, width, height);
      lay(mosaic("sequence", one("#sequence").value));
      pen.globalAlpha = one("#opacity").value / 100;
      if (shown) lay(mosaic("layer", shown));
      const text = z * step + " (" + (z + 1) + " of " + depth + ")";
      one("#place").textContent = text;
      slider.setAttribute("aria-valuetext", "slice " + text);
      const sequence = one("#sequence").selectedOptions[0].text;
      const over = shown ? ", overlay " + shown : ", no overlay";
      canvas.setAttribute("aria-label", "Axial slice " + text + ", " + sequence + over);
    };
    canvas.style.aspectRatio = viewer.dataset.aspect;
    slider.addEventListener("input", () => draw());
    one("#sequence").addEventListener("change", () => draw());
    one("#overlay").addEventListener("change", (event) => show(event.target.value));
    canvas.addEventListener("click", () => slider.focus());
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== slider) return;
      event.preventDefault();
      slider.value = Number(slider.value) - Math.sign(event.deltaY);
      draw();
    }, { passive: false });
    Promise.all(all("img", viewer).map((image) => image.decode().catch(() => {}))).then(() => draw());
    viewer.hidden = false;
    one(".needs-script").hidden = true;
  }
  controls.hidden = false;
  document.documentElement.classList.add("scripted");
  fade(one("#opacity").value);
  show(shown);
})();
