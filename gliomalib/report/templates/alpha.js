"use strict";
(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const { alphas, mean, ends, slices, frame } = JSON.parse(one("#data").textContent);
  const regions = { NCR: [1], ED: [2], ET: [3], TC: [1, 3], WT: [1, 2, 3] };
  const items = all(".play .legend i[style]");
  const colours = ["", ...items.map((item) => item.style.backgroundColor)];
  const names = ["no tumour", ...items.map((item) => item.parentNode.textContent.replace("fused:", "").trim())];
  const { fround } = Math;

  // float16 from its bits, and a number from 0 to 1 rounded to the nearest float16, half to even
  const fromBits = (bits) => {
    const fraction = bits & 1023, exponent = bits >> 10;
    return exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
  };
  const toHalf = (x) => {
    const large = 2 ** (Math.max(-14, Math.floor(Math.log2(x))) + 42);
    return x + large - large;
  };
  const decoded = (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return Array.from({ length: bytes.length / 2 }, (_, i) => fromBits(bytes[2 * i] + 256 * bytes[2 * i + 1]));
  };
  // as the library does it: α·S₂D + (1 − α)·S₃D in 32 bits, kept in 16
  const fuse = (alpha, p2d, p3d) =>
    toHalf(fround(fround(fround(alpha) * p2d) + fround(fround(1 - alpha) * p3d)));

  const labelsAt = (slice, alpha) => {
    let moving = 0;
    return Array.from(slice.fixed, (digit) => {
      if (digit !== ".") return Number(digit);
      let best = 0, highest = -1;
      for (let label = 0; label < 4; label++, moving++) {
        const sum = fuse(alpha, slice.p2d[moving], slice.p3d[moving]);
        if (sum > highest) [best, highest] = [label, sum];
      }
      return best;
    });
  };
  // the class with the highest score, the last of equals
  const highest = (scores) => scores.lastIndexOf(Math.max(...scores)) + 1;
  const classOf = (slice, labels, place) => {
    const areas = [1, 2, 3].map((label) => labels.filter((found) => found === label).length);
    if (!Math.max(...areas)) return 0;
    if (slice.rule === "enhancing_first" && areas[2]) return 3;
    if (slice.rule !== "largest_share") return highest(areas);
    return highest(areas.map((area, i) => area / Math.max(slice.voxels[3 * place + i], 1)));
  };
  const counts = (labels, truth, classes) => {
    const [hit, extra, missed] = [0, 1, 2].map((kind) => labels.filter((label, i) => {
      const predicted = classes.includes(label), real = classes.includes(truth[i]);
      return [predicted && real, predicted && !real, !predicted && real][kind];
    }).length);
    const size = 2 * hit + extra + missed;
    return [size ? (2 * hit / size).toFixed(3) : "–", hit, extra, missed];
  };

  const canvas = one("canvas"), pen = canvas.getContext("2d");
  const outlines = (slice, labels, scale, classes) => {
    const inside = (x, y) => x >= 0 && y >= 0 && x < slice.width && y < slice.height
      && classes.includes(labels[y * slice.width + x]);
    const path = new Path2D();
    const stroke = (x, y, right, down) => {
      path.moveTo(x * scale, y * scale);
      path.lineTo((x + right) * scale, (y + down) * scale);
    };
    for (let y = 0; y <= slice.height; y++) {
      for (let x = 0; x <= slice.width; x++) {
        if (inside(x, y) !== inside(x - 1, y)) stroke(x, y, 0, 1);
        if (inside(x, y) !== inside(x, y - 1)) stroke(x, y, 1, 0);
      }
    }
    return path;
  };
  const line = (path, colour, width, dashes = []) => {
    pen.setLineDash(dashes);
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.stroke(path);
  };
  const draw = (slice, labels) => {
    const scale = Math.ceil(640 / slice.width);
    canvas.width = slice.width * scale;
    canvas.height = slice.height * scale;
    canvas.style.aspectRatio = slice.aspect;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(slice.image, 0, 0, canvas.width, canvas.height);
    pen.globalAlpha = 0.3;
    labels.forEach((label, i) => {
      if (!label) return;
      pen.fillStyle = colours[label];
      pen.fillRect((i % slice.width) * scale, Math.floor(i / slice.width) * scale, scale, scale);
    });
    pen.globalAlpha = 1;
    for (const label of [2, 1, 3]) line(outlines(slice, labels, scale, [label]), colours[label], 3);
    for (const label of [1, 2, 3]) {
      const path = outlines(slice, slice.truth, scale, [label]);
      line(path, "#000", 3.5, [8, 6]);
      line(path, "#fff", 1.5, [8, 6]);
    }
  };

  const x = (alpha) => frame.left + alpha * (frame.right - frame.left);
  const y = (dice) => frame.bottom - (dice - frame.low) / (frame.high - frame.low) * (frame.bottom - frame.top);
  const put = (circle, alpha, dice) => {
    circle.setAttribute("visibility", dice === null ? "hidden" : "visible");
    circle.setAttribute("cx", x(alpha));
    circle.setAttribute("cy", y(dice));
  };
  const spoken = (dice) => dice === null ? "not defined" : dice.toFixed(3);

  const show = () => {
    const place = Number(one("#alpha").value), alpha = alphas[place];
    const chosen = Number(one("#patient").value), slice = slices[chosen];
    const labels = labelsAt(slice, alpha);
    const text = "α = " + alpha.toFixed(2), answer = names[classOf(slice, labels, place)];
    draw(slice, labels);
    one("#shown").textContent = text;
    one("#alpha").setAttribute("aria-valuetext", text + ", class of the slice: " + answer);
    one("#class").textContent = answer;
    one("#true-class").textContent = names[slice.truth_class];
    canvas.setAttribute("aria-label", "Slice " + slice.z + " of patient " + slice.patient_id + " at " + text);
    for (const row of all("[data-region]")) {
      const numbers = counts(labels, slice.truth, regions[row.dataset.region]);
      [...row.querySelectorAll("td")].forEach((cell, i) => { cell.textContent = numbers[i]; });
    }
    const [low, high] = ends.map((end) => end[place]);
    one("#mean").textContent = spoken(mean[place]) + (low === null ? "" : ` (${spoken(low)} to ${spoken(high)})`);
    one("#own").textContent = spoken(slice.own[place]);
    one(".now").setAttribute("d", `M${x(alpha)} ${frame.top}V${frame.bottom}`);
    put(one(".of-all"), alpha, mean[place]);
    put(one(".of-patient"), alpha, slice.own[place]);
    all(".own").forEach((path, i) => path.classList.toggle("on", i === chosen));
  };

  const ready = slices.map((slice) => {
    slice.p2d = decoded(slice.p2d);
    slice.p3d = decoded(slice.p3d);
    slice.truth = Array.from(slice.truth, Number);
    slice.voxels = slice.voxels.split(" ").map(Number);
    for (const name of ["width", "height", "truth_class"]) slice[name] = Number(slice[name]);
    slice.image = new Image();
    slice.image.src = slice.flair;
    return slice.image.decode().catch(() => {});
  });
  Promise.all(ready).then(() => {
    one("#alpha").addEventListener("input", show);
    one("#patient").addEventListener("change", show);
    for (const button of all("[data-place]")) {
      button.addEventListener("click", () => {
        one("#alpha").value = button.dataset.place;
        show();
      });
    }
    document.documentElement.classList.add("scripted");
    show();
  });
})();
