"""Pages from the templates of this folder; names and reasons, which come from files, are escaped."""

import functools
from typing import Any

from nrjax._utils.messages import printable


@functools.cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only pages need it

    environment = Environment(
        loader=PackageLoader("nrjax.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["printable"] = lambda value: printable(str(value))
    return environment


def render(template: str, **values: Any) -> str:
    """The page."""
    return _environment().get_template(template).render(**values)


def source(template: str) -> str:
    """A file of the folder as it is."""
    environment = _environment()
    return environment.loader.get_source(environment, template)[0]
