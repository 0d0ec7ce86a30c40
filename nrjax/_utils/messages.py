"""Errors and names as text that a terminal can show."""

import unicodedata


def first_line(error: BaseException, longest: int = 300) -> str:
    """The message of an exception as one short line without control characters; its type where it has none."""
    text = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
    return shortened(printable(text[: 2 * longest]), longest)


def printable(name: str) -> str:
    """A name from a file system without control characters, which would drive a terminal or begin a line."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in name)


def shortened(text: str, longest: int = 120) -> str:
    """The beginning of a text that may be enormous."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def reason_of(error: BaseException) -> str:
    """Why something failed, in one short line; the type comes first for errors that are not about the input."""
    if isinstance(error, KeyError) and error.args:
        return f"KeyError: {first_line(Exception(error.args[0]))}"
    line = first_line(error, longest=1000)
    return line if isinstance(error, (ValueError, TypeError, OSError)) else f"{type(error).__name__}: {line}"
