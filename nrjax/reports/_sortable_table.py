"""A ranking of any number of models as one HTML page that is sorted and filtered in the browser; no network."""

import base64
import hashlib
from collections.abc import Mapping

from nrjax.reports._figures import as_png, costs
from nrjax.reports._templates import render, source
from nrjax.results.caption import samples_of
from nrjax.results.cost_plot import knows_costs
from nrjax.results.ranking import Ranking
from nrjax.results.tables import columns_of


def sortable_table(ranking: Ranking, dropped: Mapping[str, Mapping[str, object]], title: str, command: str = "") -> str:
    """The page.

    Args:
      ranking: of those that were scored on all samples, and those that failed.
      dropped: fields of those that a race stopped, by name: `samples`, `score`, `ahead`.
      title: above it.
      command: that made it.
    """
    from markupsafe import Markup

    by, failed, made = ranking.settings["by"], ranking.failed, ranking.settings
    rows = []
    for row in ranking.rows():
        row = {"rank": row.pop("rank"), "candidate": row.pop("name"), by: row.pop("score"), **row}
        reason = row.pop("reason") or ""
        rows.append(row | {"remark": f"failed: {reason}" if row["candidate"] in failed else reason})
    for name, fields in dropped.items():
        remark = f"stopped after {fields['samples']:,} samples, behind {fields['ahead']}"
        rows.append({"rank": None, "candidate": name, by: fields["score"], "remark": remark})
    columns = [name for name in columns_of(rows) if any(row.get(name) not in (None, "") for row in rows)]
    numbers = {c for c in columns if all(isinstance(row.get(c), (int, float, type(None))) for row in rows)}
    script = source("sortable.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render(
        "sortable.html",
        title=title,
        policy=f"default-src 'none'; img-src data:; script-src 'sha256-{digest}'",
        figure=as_png(costs(ranking)) if knows_costs(ranking) else "",
        about=f"{samples_of(made)}, by {by}" + (f": {ranking.about[by].meaning}" if by in ranking.about else ""),
        command=command,
        columns=columns,
        numbers=numbers,
        rows=[{name: row.get(name) for name in columns} | {"rank": row["rank"]} for row in rows],
        script=Markup(script),
    )
