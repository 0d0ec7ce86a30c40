"""Directories of Parquet files, as on the hub of Hugging Face: `data/train-00000-of-00002.parquet`."""

from pathlib import Path

from nrjax._utils.paths import is_system_file, natural_sort_key
from nrjax.datasets._columns import Columns
from nrjax.datasets._splits import choose_splits, split_word
from nrjax.datasets._table_files import read_parquet


def parquet_files(root: Path) -> list[Path]:
    """The Parquet files of a directory, in natural order, or those of its folders."""
    files = [*root.glob("*.parquet")] or [*root.glob("*/*.parquet")]
    files = [path for path in files if not is_system_file(path.name)]
    return sorted(files, key=lambda path: natural_sort_key(str(path)))


def open_parquet(who: str, root: Path, split: str) -> Columns:
    """The columns of the requested splits; of all files where the names of some say no split."""
    by_split: dict[str, list[Path]] = {}
    for path in parquet_files(root):
        name = path.stem.split("-")[0]
        folder = path.parent.name if path.parent != root else ""
        by_split.setdefault(name if split_word(name) else folder if split_word(folder) else "", []).append(path)
    if "" in by_split:
        return read_parquet([path for paths in by_split.values() for path in paths])
    return read_parquet([path for name in choose_splits(who, split, by_split) for path in by_split[name]])
