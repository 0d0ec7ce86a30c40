// Cells carry what they are sorted by; what is empty stays below, in either direction.
const body = document.querySelector("tbody"), heads = [...document.querySelectorAll("th")];
const rows = [...body.rows], count = document.querySelector("#count"), box = document.querySelector("input");
heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
  const down = head.getAttribute("aria-sort") === "ascending";
  heads.forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const numbers = head.dataset.numbers !== undefined;
  const key = row => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const compare = (a, b) => numbers ? a - b : a.localeCompare(b, undefined, {numeric: true});
  rows.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return x === "" || y === "" ? (x === "") - (y === "") : (down ? -1 : 1) * compare(x, y);
  });
  body.append(...rows);
}));
const filter = () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let seen = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    seen += !row.hidden;
  }
  count.textContent = `${seen.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
};
box.addEventListener("input", filter);
filter();
