// Show what has all words that were asked for. Without it the page is the whole index.
const find = document.getElementById("find");
const found = [...document.querySelectorAll("#found li")];
find.value = new URLSearchParams(location.search).get("q") ?? "";

function filter() {
  const words = find.value.toLowerCase().split(/\s+/);
  for (const one of found)
    one.hidden = !words.every((word) => one.textContent.toLowerCase().includes(word));
  const left = found.filter((one) => !one.hidden).length;
  document.getElementById("count").textContent = find.value
    ? `${left} ${left === 1 ? "place matches" : "places match"}.` : "";
  document.getElementById("values").href = `numbers.html?q=${encodeURIComponent(find.value)}`;
}

find.addEventListener("input", filter);
filter();
