"""Words that are typed: layers, lists, scores, classes, sizes."""

import re
from typing import Any

import click


def as_layer(value: object) -> Any:
    """A layer's name; an index becomes an integer."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else value


class Layer(click.ParamType):
    """See `as_layer`."""

    name = "layer"

    def convert(self, value, param, ctx):
        """The value of a word that was typed."""
        return as_layer(value)


class LayerList(click.ParamType):
    """Names separated by commas; indices become integers."""

    name = "list"

    def convert(self, value, param, ctx):
        """The value of a word that was typed."""
        if not isinstance(value, str):
            return value
        return value if value == "all" else [as_layer(part.strip()) for part in value.split(",")]


class Scores(click.ParamType):
    """Names of scores separated by commas; `help` lists them."""

    name = "scores"

    def convert(self, value, param, ctx):
        """The value of a word that was typed."""
        from nrjax.scoring.scores import available_scores, check_scores

        if not isinstance(value, str):
            return value
        if value == "help":
            width = max(map(len, available_scores()))
            click.echo("\n".join(f"{kind.name:{width}}  {kind.meaning}" for kind in available_scores().values()))
            raise click.exceptions.Exit
        try:
            return [kind.name for kind in check_scores([part.strip() for part in value.split(",")], None)[0]]
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Classes(click.ParamType):
    """Class ids and ranges, such as 0-4 or 0,3,7-9, or names of classes."""

    name = "classes"

    def convert(self, value, param, ctx):
        """The value of a word that was typed."""
        from nrjax.datasets import parse_classes

        if isinstance(value, str) and not any(character.isalpha() for character in value):
            try:
                parse_classes(value)
            except ValueError as error:
                self.fail(str(error), param, ctx)
        return value


class Size(click.ParamType):
    """Height and width: 224, or 224x160."""

    name = "size"

    def convert(self, value, param, ctx):
        """The value of a word that was typed."""
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", value)
        if match is None or int(match[1]) < 1 or int(match[2] or 1) < 1:
            self.fail(f"expected a size such as 224 or 224x160 (height x width); got {value!r}.", param, ctx)
        return int(match[1]), int(match[2] or match[1])


class Clusters(click.ParamType):
    """A number of clusters, at least 2, or auto."""

    name = "number"

    def convert(self, value, param, ctx):
        """The value of a word that was typed."""
        if not isinstance(value, str) or value == "auto":
            return value
        if not re.fullmatch(r"\d{1,6}", value) or int(value) < 2:
            self.fail(f"expected a number of at least 2, or auto; got {value!r}.", param, ctx)
        return int(value)


class Bytes(click.ParamType):
    """A size such as 8GB or 500MB."""

    name = "size"
    _UNITS = {"": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}  # noqa: RUF012

    def convert(self, value, param, ctx):
        """The value of a word that was typed."""
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B)?", value.strip().upper())
        if match is None or not float(match[1]):
            self.fail(f"expected a size such as 8GB or 500MB; got {value!r}.", param, ctx)
        return int(float(match[1]) * self._UNITS[match[2] or ""])
