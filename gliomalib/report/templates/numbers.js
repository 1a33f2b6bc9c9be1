// Filter the table of all numbers, and save what is shown. Without it the whole table is there.
const rows = [...document.querySelectorAll("#numbers tbody tr")];
const find = document.getElementById("find");
const texts = rows.map((row) => row.textContent.toLowerCase());
for (const hidden of document.querySelectorAll(".find, .save")) hidden.hidden = false;

function filter() {
  const words = find.value.toLowerCase().split(/\s+/);
  let left = 0;
  rows.forEach((row, i) => {
    row.hidden = !words.every((word) => texts[i].includes(word));
    left += !row.hidden;
  });
  document.getElementById("count").textContent = find.value ? `${left} of ${rows.length}` : "";
}

function save(kind) {
  const heads = [...document.querySelectorAll("#numbers thead th")].map((head) => head.textContent);
  const cell = (one) => one.querySelector("data")?.value ?? one.textContent.trim();
  const shown = rows.filter((row) => !row.hidden).map((row) => [...row.cells].map(cell));
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const csv = () => [heads, ...shown].map((line) => line.map(quoted).join(",")).join("\r\n");
  const json = () => JSON.stringify(shown.map((line) =>
    Object.fromEntries(line.map((text, i) => [heads[i], text]))), null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([kind === "csv" ? csv() : json()]));
  link.download = `numbers.${kind}`;
  link.click();
}

find.value = new URLSearchParams(location.search).get("q") ?? "";
find.addEventListener("input", filter);
for (const button of document.querySelectorAll(".save"))
  button.addEventListener("click", () => save(button.dataset.kind));
filter();
