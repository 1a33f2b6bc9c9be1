"use strict";
// Enlarge a figure or keep it as a file. Its CSV is that of the dots that have a name; else the
// table of this run that the code of its cell names.
(() => {
  const large = document.createElement("dialog");
  large.className = "large";
  const save = (name, content, type) => {
    const link = document.createElement("a");
    link.href = typeof content === "string" && content.startsWith("data:") ? content
      : URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    link.download = name;
    link.click();
  };
  // a file of its own: no style of the page reaches it
  const drawn = (svg) => {
    const copy = svg.cloneNode(true);
    const page = getComputedStyle(document.documentElement);
    const { color } = getComputedStyle(svg);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("style", "color: " + color + "; fill: " + color + "; stroke-linejoin: round");
    for (const link of copy.querySelectorAll("a")) link.replaceWith(...link.childNodes);
    return new XMLSerializer().serializeToString(copy)
      .replace(/var\((--[\w-]+)\)/g, (_, name) => page.getPropertyValue(name).trim());
  };
  const bitmap = (svg, name) => {
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    const image = new Image(width * 3, height * 3);
    image.onload = () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: width * 3, height: height * 3 });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(name + ".png", blob));
    };
    image.src = "data:image/svg+xml," + encodeURIComponent(drawn(svg));
  };
  const quoted = (text) => '"' + text.replace(/"/g, '""') + '"';
  const dots = (svg) => [...svg.querySelectorAll("path > title")].map((title) => {
    const [, who, value] = title.textContent.match(/^(.*?): (.*)$/) || [, title.textContent, ""];
    return quoted(who) + "," + quoted(value);
  });
  const table = (figure) => {
    const code = document.querySelector("#" + figure.dataset.cell + " .code pre");
    const words = new Set((code ? code.textContent : "").match(/\w+/g));
    return [...document.querySelectorAll('a[href^="../tables/"]')]
      .find((link) => words.has(link.getAttribute("href").replace(/\.csv(\.gz)?$/, "").split(".").pop()));
  };
  const enlarge = (shown) => {
    const place = document.createComment("");
    shown.replaceWith(place);
    large.replaceChildren(shown);
    large.onclose = () => place.replaceWith(shown);
    large.showModal();
  };
  large.addEventListener("click", () => large.close());
  document.body.append(large);
  let number = 0;
  for (const figure of document.querySelectorAll("figure:has(.plot > svg, img)")) {
    const shown = figure.querySelector(".plot, img");
    const svg = shown.querySelector("svg");
    const name = location.pathname.split("/").pop().replace(/\.html$/, "") + "-" + ++number;
    const rows = svg ? dots(svg) : [];
    const named = table(figure);
    const tools = document.createElement("p");
    tools.className = "tools";
    for (const [text, act] of [
      ["Enlarge", () => enlarge(shown)],
      svg && ["SVG", () => save(name + ".svg", drawn(svg), "image/svg+xml")],
      ["PNG", () => svg ? bitmap(svg, name) : save(name + ".png", shown.src)],
      (named || rows.length > 0) && ["CSV", () => named ? named.click()
        : save(name + ".csv", ["patient,value", ...rows].join("\n"), "text/csv")],
    ].filter(Boolean)) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
      button.setAttribute("aria-label", (text === "Enlarge" ? text : "Save as " + text) + ": figure " + number);
      button.addEventListener("click", act);
      tools.append(button);
    }
    shown.after(tools);
  }
})();
