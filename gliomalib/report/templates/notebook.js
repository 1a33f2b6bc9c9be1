// One switch for all code of a notebook; without it each cell is opened by itself.
const code = document.getElementById("code");
code.hidden = false;
code.addEventListener("click", () => {
  const shown = code.getAttribute("aria-pressed") !== "true";
  code.setAttribute("aria-pressed", shown);
  code.textContent = shown ? "Hide all code" : "Show all code";
  for (const cell of document.querySelectorAll("details.code")) cell.open = shown;
});
