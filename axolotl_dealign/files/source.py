"""Open what a user names on the command line: a file by its name, a folder, or the id of a dataset on the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

from axolotl_dealign import audit
from axolotl_dealign.errors import ConfigError, DealignError
from axolotl_dealign.files.lines import COMPRESSED, JsonReader
from axolotl_dealign.files.plan import Reader
from axolotl_dealign.files.tables import ArrowReader, LoadedReader, ParquetReader
from axolotl_dealign.registry import did_you_mean

_FORMS = {
    ".jsonl": "json",
    ".json": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SAVED = (datasets.config.DATASET_STATE_JSON_FILENAME, datasets.config.DATASETDICT_JSON_FILENAME)


@dataclass(frozen=True)
class Opened:
    """Attributes of what was opened.

    Attributes:
        readers: By split; a file is one split `train`.
        as_dict: Whether the output is a folder with a folder for each split.
    """

    readers: Mapping[str, Reader]
    as_dict: bool = False


def open_source(source: str, output: Path, split: str | None) -> Opened:
    """Open a dataset, and make sure that `output` can be written in its format.

    Args:
        source: A file, a folder, or a hub id.
        output: The output.
        split: The only split to take.

    Raises:
        ConfigError: There is no such source, or it or the output is of no known format.
        DealignError: It cannot be read.
    """
    path = Path(source)
    if path.is_file():
        form = _form(path)
        if form is None:
            raise ConfigError(f"{source}: unknown format{did_you_mean(path.suffix or path.name, list(_FORMS))}")
        if _form(output) != form or _compression(path) != _compression(output):
            suffix = "".join(path.suffixes[-2:] if _compression(path) else path.suffixes[-1:])
            raise ConfigError(f"{output}: the output has the format of the input; give it a name that ends in {suffix}")
        if split not in (None, "train"):
            raise ConfigError(f"--split {split}: {source} is one file, without splits; leave it out")
        readers: dict[str, type[JsonReader | ParquetReader | ArrowReader]] = {
            "json": JsonReader,
            "parquet": ParquetReader,
            "arrow": ArrowReader,
        }
        return Opened({"train": readers[form](path)})
    if _compression(output):
        raise ConfigError(f"{output}: only what came compressed is written compressed; take off the {output.suffix}")
    loaded, form = _load(source), _form(output) or "saved"
    if isinstance(loaded, Dataset):
        return Opened({"train": LoadedReader(loaded, form)})
    splits = [str(name) for name in loaded]
    if split is None and form == "saved":
        return Opened({name: LoadedReader(loaded[name], form) for name in splits}, as_dict=True)
    if split is None and len(splits) == 1:
        split = splits[0]
    if split is None:
        raise ConfigError(f"{source} has the splits {', '.join(splits)} and {output} holds one; choose with --split")
    if split not in loaded:
        raise ConfigError(f"{source}: no split `{split}`{did_you_mean(split, splits)}")
    return Opened({split: LoadedReader(loaded[split], form)})


def refuse_places(source: str, output: Path, audit_dir: Path) -> None:
    """Make sure that nothing is written over but an earlier output and an earlier audit.

    Raises:
        ConfigError: The output is the input, holds it or lies in it, or is a folder with something else.
        DealignError: The audit would replace something else.
    """
    given, target, audit_at = Path(source).resolve(), output.resolve(), audit_dir.resolve()
    if Path(source).exists():
        for path, name in ((target, output), (audit_at, audit_dir)):
            if given == path or path in given.parents or given in path.parents:
                raise ConfigError(f"{name} is, holds or lies in the input {source}; write somewhere else")
    if target == audit_at or target in audit_at.parents or audit_at in target.parents:
        raise ConfigError(f"the output {output} and the audit {audit_dir} lie in one another; choose another --audit")
    if output.is_dir() and any(output.iterdir()) and not any((output / name).is_file() for name in _SAVED):
        raise ConfigError(f"{output} is a folder that holds something else than a saved dataset; choose another name")
    audit.refuse_foreign(audit_dir)


def _load(source: str) -> Dataset | DatasetDict:
    """A folder, or a dataset of the hub."""
    folder = Path(source)
    if not folder.is_dir() and (_form(folder) or not _HUB_ID.fullmatch(source)):
        raise ConfigError(f"there is no file or folder {source}; relative paths start here: {Path.cwd()}")
    try:
        if any((folder / name).is_file() for name in _SAVED):
            return load_from_disk(source)
        return load_dataset(source)
    except Exception as error:  # `datasets` and the hub have dozens
        what = f"the folder {source}" if folder.is_dir() else f"{source}, no file or folder here, from the hub"
        raise DealignError(f"cannot load {what} ({type(error).__name__}: {' '.join(str(error).split())})") from error


def _form(path: Path) -> str | None:
    suffixes = path.suffixes[:-1] if _compression(path) else path.suffixes
    form = _FORMS.get(suffixes[-1].lower()) if suffixes else None
    return form if form == "json" or not _compression(path) else None


def _compression(path: Path) -> str | None:
    return path.suffix.lower() if path.suffix.lower() in COMPRESSED else None
