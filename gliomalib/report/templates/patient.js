"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const controls = one(".controls");
  const buttons = all("[data-show]", controls);
  const views = all("[data-view]", controls);
  const layers = buttons.map((button) => button.dataset.show);
  const truth = layers[0];
  const viewer = one(".viewer");
  // two pages beside one another, in frames of the gallery, show the same
  const framed = location.search === "?beside" && window.parent !== window;
  const SCALE = 8;
  let shown = layers[layers.length - 2];
  let prediction = shown;
  let view = "contour";
  let before = null;
  let redraw = [];

  // --- what lies over a picture: outlines of the classes, areas, or where it is wrong
  const colours = controls.dataset.colours.split(" ");
  const ERRORS = { agreed: "#8a8a8a", other: "#c47a00", missed: "#2f8fc9", false: "#d55e00" };
  const scratch = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  // the class of each pixel, 0 to 3, of a picture of labels that `lay` draws
  const classes = (width, height, lay) => {
    Object.assign(scratch.canvas, { width, height });
    lay(scratch);
    const { data } = scratch.getImageData(0, 0, width, height);
    const numbers = colours.map((colour) => parseInt(colour.slice(1), 16));
    return Uint8Array.from({ length: width * height }, (_, place) => {
      const [red, green, blue, seen] = data.subarray(4 * place, 4 * place + 4);
      return seen ? Math.max(0, numbers.indexOf(red * 65536 + green * 256 + blue)) : 0;
    });
  };
  const outline = (pen, width, height, labels) => {
    for (let place = 0; place < labels.length; place += 1) {
      const label = labels[place];
      if (!label) continue;
      const [x, y] = [place % width, Math.floor(place / width)];
      // edema is dashed and enhancing tumour bold: they are equally bright
      if (label === 2 && (x + y) % 2) continue;
      const bold = label === 3 ? SCALE / 2 : SCALE / 3;
      pen.fillStyle = colours[label];
      const [left, top, side] = [x * SCALE, y * SCALE, SCALE];
      if (x === 0 || labels[place - 1] !== label) pen.fillRect(left, top, bold, side);
      if (x === width - 1 || labels[place + 1] !== label) pen.fillRect(left + side - bold, top, bold, side);
      if (y === 0 || labels[place - width] !== label) pen.fillRect(left, top, side, bold);
      if (y === height - 1 || labels[place + width] !== label) pen.fillRect(left, top + side - bold, side, bold);
    }
  };
  const fill = (pen, width, labels, colourOf) => {
    labels.forEach((label, place) => {
      const colour = colourOf(label, place);
      if (!colour) return;
      pen.fillStyle = colour;
      const [x, y] = [(place % width) * SCALE, Math.floor(place / width) * SCALE];
      pen.fillRect(x, y, SCALE, SCALE);
      // missed is striped: in grey it is as bright as agreed
      if (colour === ERRORS.missed) pen.clearRect(x, y + SCALE / 2, SCALE, SCALE / 3);
    });
  };
  const mark = (pen, width, height, truthOf, labelsOf) => {
    if (view === "contour") return outline(pen, width, height, labelsOf());
    if (view === "filled") return fill(pen, width, labelsOf(), (label) => label && colours[label]);
    const wanted = truthOf();
    return fill(pen, width, labelsOf(), (label, place) => {
      if (label === wanted[place]) return label && ERRORS.agreed;
      return label && wanted[place] ? ERRORS.other : label ? ERRORS.false : ERRORS.missed;
    });
  };

  // --- which layer, which view, how opaque
  const show = (layer, remember = true) => {
    shown = layer;
    // what is chosen while the pointer rests on a picture stays when it leaves
    if (remember) before = null;
    if (remember && layer && layer !== truth) prediction = layer;
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.show === layer));
    }
    for (const button of views) {
      button.setAttribute("aria-pressed", String(button.dataset.view === view));
    }
    for (const key of all("#slices > .legend")) key.hidden = (view === "errors") !== key.matches(".errors-key");
    one("#shown").textContent = "shown: " + (layer || "nothing");
    if (viewer) one("#overlay").value = layer;
    for (const draw of redraw) draw();
  };
  const tell = (message) => {
    if (framed) window.parent.postMessage(message, "*");
  };
  const choose = (layer) => {
    show(layer);
    tell({ layer, view });
  };
  const flicker = () => choose(shown === truth ? prediction : truth);
  const fade = (percent) => {
    document.documentElement.style.setProperty("--opacity", percent / 100);
    for (const input of all("#opacity, #opacity2")) input.value = percent;
    for (const draw of redraw) draw();
  };
  for (const button of buttons) {
    // again on what is shown already: the space key flickers after a click, too
    button.addEventListener("click", () =>
      button.dataset.show === shown ? flicker() : choose(button.dataset.show));
  }
  for (const button of views) {
    button.addEventListener("click", () => {
      view = button.dataset.view;
      choose(shown);
    });
  }
  window.addEventListener("message", (event) => {
    const { layer, view: wanted } = Object(event.data);
    if (!framed || !layers.includes(layer) || !views.some((one) => one.dataset.view === wanted)) return;
    view = wanted;
    show(layer);
  });
  one("[data-flicker]").addEventListener("click", flicker);
  for (const input of all("#opacity, #opacity2")) {
    input.addEventListener("input", () => fade(input.value));
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
    const button = [...buttons, ...views].find((found) => found.dataset.key === event.key.toLowerCase());
    if (button && button.dataset.view) button.click();
    else if (button) choose(button.dataset.show);
  });

  // --- the slices that matter: a canvas over each picture instead of the areas
  for (const panel of all(".flicker .layers")) {
    const images = new Map(all("img.overlay", panel).map((image) => [image.dataset.layer, image]));
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    const draw = () => {
      const image = images.get(shown);
      canvas.className = "overlay" + (image ? " on" : "") + (view === "contour" ? " lines" : "");
      canvas.dataset.layer = shown;
      if (!image || !image.naturalWidth) return;
      const [width, height] = [image.naturalWidth, image.naturalHeight];
      Object.assign(canvas, { width: width * SCALE, height: height * SCALE });
      canvas.setAttribute("aria-label", image.alt + " (" + view + ")");
      const read = (from) => () => classes(width, height, (pen) => pen.drawImage(from, 0, 0));
      mark(canvas.getContext("2d"), width, height, read(images.get(truth)), read(image));
    };
    Promise.all([...images.values()].map((image) => image.decode())).then(() => {
      panel.append(canvas);
      panel.classList.add("drawn");
      redraw.push(draw);
      draw();
    }).catch(() => {});
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

  // --- the whole volume: axial slices to scroll, and two planes through the tumour's centre
  if (viewer) {
    const slider = one("#z");
    const { width, height, depth, columns, step } =
      Object.fromEntries(Object.entries(viewer.dataset).map(([key, text]) => [key, Number(text)]));
    const mosaic = (kind, name) =>
      all("img", viewer).find((image) => image.dataset[kind] === name);
    const corner = (z) => [(z % columns) * width, Math.floor(z / columns) * height];
    let centre = [Math.floor(width / 2), Math.floor(height / 2)];
    // how a plane is laid out of the mosaic: its size, and where each slice goes
    const planes = {
      axial: [width, height, (pen, image) =>
        pen.drawImage(image, ...corner(Number(slider.value)), width, height, 0, 0, width, height)],
      coronal: [width, depth, (pen, image) => {
        for (let z = 0; z < depth; z += 1) {
          const [x, y] = corner(z);
          pen.drawImage(image, x, y + centre[1], width, 1, 0, depth - 1 - z, width, 1);
        }
      }],
      sagittal: [height, depth, (pen, image) => {
        pen.save();
        pen.transform(0, 1, 1, 0, 0, 0);
        for (let z = 0; z < depth; z += 1) {
          const [x, y] = corner(z);
          pen.drawImage(image, x + centre[0], y, 1, height, depth - 1 - z, 0, 1, height);
        }
        pen.restore();
      }],
    };
    const cross = { axial: () => centre, coronal: () => [centre[0], depth - 1 - Number(slider.value)],
      sagittal: () => [centre[1], depth - 1 - Number(slider.value)] };
    const over = document.createElement("canvas").getContext("2d");
    const draw = (canvas) => {
      const [across, down, lay] = planes[canvas.dataset.plane];
      const pen = canvas.getContext("2d");
      Object.assign(canvas, { width: across * SCALE, height: down * SCALE });
      const scan = mosaic("sequence", one("#sequence").value);
      const laid = (image) => () => classes(across, down, (small) => lay(small, image));
      pen.imageSmoothingEnabled = false;
      pen.scale(SCALE, SCALE);
      if (scan.complete) lay(pen, scan);
      pen.setTransform(1, 0, 0, 1, 0, 0);
      if (shown) {
        Object.assign(over.canvas, { width: canvas.width, height: canvas.height });
        mark(over, across, down, laid(mosaic("layer", truth)), laid(mosaic("layer", shown)));
        pen.globalAlpha = view === "contour" ? 1 : one("#opacity").value / 100;
        pen.drawImage(over.canvas, 0, 0);
        pen.globalAlpha = 1;
      }
      const [x, y] = cross[canvas.dataset.plane]();
      pen.fillStyle = "rgb(255 255 255 / 0.35)";
      pen.fillRect((x + 0.5) * SCALE, 0, 1, canvas.height);
      pen.fillRect(0, (y + 0.5) * SCALE, canvas.width, 1);
    };
    const drawAll = () => {
      const z = Number(slider.value);
      all("canvas", viewer).forEach(draw);
      const text = z * step + " (" + (z + 1) + " of " + depth + ")";
      one("#place").textContent = text;
      slider.setAttribute("aria-valuetext", "slice " + text);
      const sequence = one("#sequence").selectedOptions[0].text;
      const laid = shown ? ", overlay " + shown : ", no overlay";
      one("[data-plane=axial]").setAttribute("aria-label", "Axial slice " + text + ", " + sequence + laid);
    };
    const middle = (image) => {
      const found = classes(image.naturalWidth, image.naturalHeight, (pen) => pen.drawImage(image, 0, 0));
      const sums = [0, 0, 0];
      found.forEach((label, place) => {
        if (!label) return;
        sums[0] += place % image.naturalWidth % width;
        sums[1] += Math.floor(place / image.naturalWidth) % height;
        sums[2] += 1;
      });
      if (sums[2]) centre = [Math.round(sums[0] / sums[2]), Math.round(sums[1] / sums[2])];
    };
    const axial = one("[data-plane=axial]");
    slider.addEventListener("input", drawAll);
    one("#sequence").addEventListener("change", drawAll);
    one("#overlay").addEventListener("change", (event) => choose(event.target.value));
    axial.addEventListener("click", () => slider.focus());
    axial.addEventListener("wheel", (event) => {
      if (document.activeElement !== slider) return;
      event.preventDefault();
      slider.value = Number(slider.value) - Math.sign(event.deltaY);
      drawAll();
    }, { passive: false });
    Promise.all(all("img", viewer).map((image) => image.decode().catch(() => {}))).then(() => {
      middle(mosaic("layer", truth));
      redraw.push(drawAll);
      drawAll();
    });
    viewer.hidden = false;
    one(".needs-script").hidden = true;
  }
  controls.hidden = false;
  document.documentElement.classList.add("scripted");
  document.documentElement.classList.toggle("beside", framed);
  fade(one("#opacity").value);
  show(shown);
})();
