"""Names of splits: what is asked for as `train+test`, and what folders, files and arrays call them."""

import re
from collections.abc import Iterable

_WORDS = {
    "train": "train", "training": "train", "trn": "train", "test": "test", "testing": "test", "tst": "test",
    "val": "validation", "valid": "validation", "validation": "validation", "validate": "validation",
    "dev": "validation", "eval": "evaluation", "evaluation": "evaluation", "holdout": "holdout",
}  # fmt: skip
_TOKEN = re.compile(rf"({'|'.join(sorted(_WORDS, key=len, reverse=True))})(?:s|set|sets|split|data|images?|imgs?|dir)?")


def split_word(name: str) -> str | None:
    """The split that a name means: `training_set`, `seg_train` and `Train2017` mean `train`; None for others.

    It means one where any of its words does; whether a folder called like that is a split, its contents say.
    """
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    matches = (_TOKEN.fullmatch(token) for token in re.findall(r"[a-z]+", spaced.lower()))
    words = {_WORDS[match[1]] for match in matches if match}
    return words.pop() if len(words) == 1 else None


def choose_splits(who: str, split: str, names: Iterable[str]) -> list[str]:
    """The names of the splits that are asked for, joined by `+` or `all`.

    Raises:
      ValueError: there is none of that name, or there are several that mean it.
    """
    names = list(names)
    by_name = {name.lower(): name for name in names}
    chosen: list[str] = []
    for part in (part.strip().lower() for part in split.split("+")):
        if part == "all" and part not in by_name:
            matches = names
        elif part in by_name:
            matches = [by_name[part]]
        else:
            word = split_word(part)
            matches = [name for name in names if word is not None and split_word(name) == word]
            if len(matches) > 1:
                raise ValueError(f"{who} has several splits that {part!r} may mean: {', '.join(matches)}; name one.")
        if not matches:
            raise ValueError(f"{who} has no split {split!r}; it has {', '.join(names)}, to be joined by +, and all.")
        chosen += matches
    return list(dict.fromkeys(chosen))
