"""A page with code, output and pictures as a notebook, so that the two say the same."""

import base64
import json
import re

PARTS = re.compile(r"```python\n(.*?)```(?:\n```\n(.*?)```)?(?:\n\n!\[.*?\]\(pictures/([\w-]+\.png)\))?", re.DOTALL)


def written(page, pictures):
    """The text of a notebook: text between blocks, code, what the page says that it prints, and the picture below it.

    Args:
      page: a path of Markdown.
      pictures: the folder of the pictures that the page shows.
    """
    text, cells, end = page.read_text(encoding="utf-8"), [], 0
    for match in PARTS.finditer(text):
        cells += [markdown(text[end : match.start()])]
        code, printed, picture = match.groups()
        cells += [code_cell(code, printed, picture and pictures / picture)]
        end = match.end()
    cells += [markdown(text[end:])]
    cells = [{"id": f"cell-{i}", **cell} for i, cell in enumerate(cell for cell in cells if cell["source"])]
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def markdown(text):
    return {"cell_type": "markdown", "metadata": {}, "source": lines(text.strip())}


def code_cell(code, printed, picture):
    outputs = []
    if printed:
        outputs += [{"name": "stdout", "output_type": "stream", "text": lines(printed)}]
    if picture:
        png = base64.b64encode(picture.read_bytes()).decode()
        outputs += [{"data": {"image/png": png}, "metadata": {}, "output_type": "display_data"}]
    source = lines(code.rstrip())
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": outputs, "source": source}


def lines(text):
    return text.splitlines(keepends=True)
