"""A ranking of any number of models as one HTML page that is sorted and filtered in the browser; no network."""

import base64
import hashlib
import html
from collections.abc import Mapping
from typing import Any

from nrjax._utils.messages import printable
from nrjax.results.ranking import Ranking
from nrjax.results.tables import columns_of

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .3rem; } code { overflow-wrap: anywhere; }
.tools { align-items: center; display: flex; flex-wrap: wrap; gap: .4rem 1rem; margin: 1rem 0; }
input { flex: 1 1 14rem; font: inherit; max-width: 26rem; padding: .35rem .6rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { border-bottom: 1px solid #8884; padding: .25rem .8rem .25rem 0; text-align: left; white-space: nowrap; }
td.text { white-space: normal; overflow-wrap: anywhere; max-width: 40rem; }
td.remark { min-width: 14rem; }
td.number { text-align: right; }
th button { background: none; border: 0; color: inherit; cursor: pointer; font: inherit; font-weight: 600; padding: 0; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tr.out { opacity: .65; }
"""
# Cells carry what they are sorted by; what is empty stays below, in either direction.
SCRIPT = """
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
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
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
"""


def sortable_table(ranking: Ranking, dropped: Mapping[str, Mapping[str, Any]], title: str, command: str = "") -> str:
    """The page.

    Args:
      ranking: of those that were scored on all samples, and those that failed.
      dropped: fields of those that a race stopped, by name: `samples`, `score`, `ahead`.
      title: above it.
      command: that made it.
    """
    by, failed = ranking.settings["by"], ranking.failed
    rows = []
    for row in ranking.rows():
        row = {"rank": row.pop("rank"), "candidate": row.pop("name"), by: row.pop("score"), **row}
        reason = row.pop("reason") or ""
        rows.append(row | {"remark": f"failed: {reason}" if row["candidate"] in failed else reason})
    for name, one in dropped.items():
        said = f"stopped after {one['samples']:,} samples, behind {one['ahead']}"
        rows.append({"rank": None, "candidate": name, by: one["score"], "remark": said})
    columns = [name for name in columns_of(rows) if any(row.get(name) not in (None, "") for row in rows)]
    numbers = {c for c in columns if all(isinstance(row.get(c), (int, float, type(None))) for row in rows)}
    head = "".join(
        f'<th scope="col"{" data-numbers" if name in numbers else ""}><button>{_safe(name)}</button></th>'
        for name in columns
    )  # fmt: skip
    body = "".join(
        f"<tr{'' if row['rank'] else ' class=out'}>{''.join(_cell(row.get(name), name) for name in columns)}</tr>"
        for row in rows
    )  # fmt: skip
    made = ranking.settings
    about = f"{made['samples']:,} samples in {made['classes']} classes, by {by}" + (
        f": {ranking.about[by].meaning}" if by in ranking.about else ""
    )
    allowed = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-{allowed}'; "
        "style-src 'unsafe-inline'\">"
        f"<title>nrjax: {_safe(title)}</title><style>{STYLE}</style></head><body><h1>{_safe(title)}</h1>"
        f"<div>{_safe(about)}</div>" + (f"<div><code>{_safe(command)}</code></div>" if command else "")
        + '<div class="tools"><input type="search" aria-label="Filter" placeholder="Filter: words of a row">'
        f'<span id="count" aria-live="polite"></span></div><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div><script>{SCRIPT}</script></body></html>\n"
    )  # fmt: skip


def _cell(value: Any, column: str) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, float):
        return f'<td class=number data-v="{value!r}">{value:.4f}</td>'
    if isinstance(value, int):
        return f"<td class=number>{value}</td>"
    return f'<td class="text{" remark" if column == "remark" else ""}">{_safe(str(value))}</td>'


def _safe(text: str) -> str:
    return html.escape(printable(text))
