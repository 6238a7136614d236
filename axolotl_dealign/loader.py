"""The wraps around Axolotl's data loading, and the check that this Axolotl has the shape they need.

Axolotl offers no hook between loading a dataset and tokenising it, so three of its functions are wrapped where they
are called. `generate_dataset_hash_from_config` comes first on every path that is not streaming and gets the config:
it decides whether the run is ours. `load_dataset_with_config` gets no config; what was decided waits in a context
variable. `wrap_streaming_dataset` gets the config itself.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import inspect
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from axolotl_dealign import audit
from axolotl_dealign.args import parse
from axolotl_dealign.config import named_in
from axolotl_dealign.dataset import Result, Source, clean_dataset
from axolotl_dealign.errors import AxolotlError, DealignError
from axolotl_dealign.streaming import clean_stream
from axolotl_dealign.summary import print_table, summarise
from axolotl_dealign.watch import Watch

LOG = logging.getLogger(__name__)

SUPPORTED = "0.19.0 (Python 3.10, 3.11) to 0.21.x (Python 3.12 and newer)"
NEWEST = (0, 21)

_SHAPES: dict[str, tuple[str, ...]] = {
    "axolotl.utils.data.sft.load_dataset_with_config": ("dataset_config", "use_auth_token", "streaming"),
    "axolotl.utils.data.rl.load_dataset_with_config": ("dataset_config", "use_auth_token", "streaming"),
    "axolotl.utils.data.sft.generate_dataset_hash_from_config": ("cfg", "cfg_datasets", "tokenizer_name"),
    "axolotl.utils.data.rl.generate_dataset_hash_from_config": ("cfg", "cfg_datasets", "tokenizer_name"),
    "axolotl.utils.data.sft.wrap_streaming_dataset": ("dataset", "tokenizer", "cfg", "ds_wrapper_fn"),
}
"""The functions that are wrapped, in the modules that call them, with the parameters they must have."""

_DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".parquet", ".arrow", ".txt")

_MARK = "__axolotl_dealign_wraps__"

DEFAULT_PREPARED_PATH = "last_run_prepared"
"""Axolotl's `DEFAULT_DATASET_PREPARED_PATH`."""

_run: ContextVar[Run | None] = ContextVar("axolotl_dealign_run", default=None)


def audit_dir(cfg: Mapping[str, Any]) -> Path:
    """Where the user finds the audit of a config."""
    block = cfg.get("dealign") or {}
    return Path(block.get("audit_dir") or Path(cfg.get("output_dir") or "./model-out") / "dealign")


class Run:
    """One loading of one config: what to look for, and what was found so far.

    Axolotl loads the training and the test datasets after one another, each with a hash of its own; both belong to
    the same run and end in the same audit folder.
    """

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self.watch = Watch.from_settings(parse(cfg.get("dealign")))
        self.folders: dict[str, Path] = {}
        self._start("train", [])

    def begin(self, base_hash: str, cfg_datasets: list[Any]) -> str:
        """Called for the hash of a list of datasets: before they are loaded, and once more before they are saved.

        Returns:
            The hash with our settings in it.
        """
        salted = hashlib.md5(f"{base_hash}|{self.watch.fingerprint}".encode(), usedforsecurity=False).hexdigest()
        split = "test" if cfg_datasets is self.cfg.get("test_datasets") else "train"
        folder = Path(self.cfg.get("dataset_prepared_path") or DEFAULT_PREPARED_PATH) / "dealign" / salted
        in_the_middle = 0 < len(self.results) < len(self.entries)  # an attempt failed and Axolotl tries again
        if self.folders.get(split) != folder or self.split != split or in_the_middle:
            self.folders[split] = folder
            self._start(split, cfg_datasets)
            if (folder / audit.SUMMARY).is_file():  # prepared by an earlier run; loading again writes it anew
                self.publish()
        return salted

    def load(self, dataset: Any, entry: Any) -> Any:
        """Clean what Axolotl's loader returned for one entry under `datasets:`."""
        if entry.get("type") == "_synthetic":
            return dataset
        if isinstance(dataset, (DatasetDict, IterableDatasetDict)):
            # Axolotl picks one split of these; its preference trainers always pick `train`.
            named = entry.get("split") if entry.get("split") in dataset else self.split
            used = "train" if self.cfg.get("rl") and "train" in dataset else named
            if used in dataset:
                dataset[used] = self._load_split(dataset[used], entry)
            return dataset
        return self._load_split(dataset, entry)

    def _load_split(self, dataset: Dataset | IterableDataset, entry: Any) -> Dataset | IterableDataset:
        if len(self.results) == len(self.entries):
            self._start(self.split, self.entries)
        source = Source(str(entry.get("path")), entry.get("type"), entry, self.split, len(self.results))
        if self.watch.settings.for_dataset(source.path).on_turn == "mask":
            entry["message_field_training"] = source.training_key  # Axolotl reads it after the loader returned
        shard = entry.get("shards_idx") if entry.get("preprocess_shards") else None
        if isinstance(dataset, IterableDataset):
            return clean_stream(dataset, self.watch, source, audit_dir(self.cfg))
        if shard and self.results:  # Axolotl loads the same dataset again for every shard of it
            self.results.append(self.results[-1])
        else:
            self.results.append(clean_dataset(dataset, self.watch, source))
        result = self.results[-1]
        if len(self.results) == len(self.entries):
            self._finish()
        return result.dataset

    def _start(self, split: str, cfg_datasets: list[Any]) -> None:
        self.split = split
        self.entries = _expand(cfg_datasets)
        self.results: list[Result] = []

    def _finish(self) -> None:
        """All datasets of a split are loaded: write the audit, show the table, copy both to where the user looks."""
        folder = self.folders[self.split]
        unique = {id(result): result for result in self.results}.values()
        for result in unique:
            audit.write_table(result.audit, folder / result.counts["file"])
        summary = summarise(self.watch, [result.counts for result in unique])
        audit.write_json(summary, folder / audit.SUMMARY)
        self.publish()
        print_table(summary, audit_dir(self.cfg))

    def publish(self) -> None:
        """Copy the audit of this run's datasets to the audit folder."""
        folders = [folder for folder in self.folders.values() if (folder / audit.SUMMARY).is_file()]
        if not folders:
            return
        parts = [audit.read_summary(folder) for folder in folders]
        merged = {**parts[0], "datasets": [dataset for part in parts for dataset in part["datasets"]]}
        audit.publish(folders, merged, audit_dir(self.cfg))


def install() -> None:
    """Wrap Axolotl's functions, once.

    Raises:
        AxolotlError: One of them is missing or takes other parameters.
    """
    check_fit()
    wraps: dict[str, Callable[..., Callable[..., Any]]] = {
        "load_dataset_with_config": _wrap_loader,
        "generate_dataset_hash_from_config": _wrap_hash,
        "wrap_streaming_dataset": _wrap_streaming,
    }
    for path in _SHAPES:
        module, name = _find(path)
        original = getattr(module, name)
        if not hasattr(original, _MARK):
            wrapped = functools.wraps(original)(wraps[name](original))
            setattr(wrapped, _MARK, original)
            setattr(module, name, wrapped)


def uninstall() -> None:
    """Put Axolotl's own functions back."""
    for path in _SHAPES:
        module, name = _find(path)
        original = getattr(getattr(module, name), _MARK, None)
        if original is not None:
            setattr(module, name, original)
    _run.set(None)


def check_fit() -> str:
    """Compare Axolotl's functions with what the wraps need.

    Returns:
        Axolotl's version.

    Raises:
        AxolotlError: Something does not fit; names the version and what is supported.
    """
    version = importlib.metadata.version("axolotl")
    for path, parameters in _SHAPES.items():
        try:
            module, name = _find(path)
            function = getattr(module, name)
        except (ImportError, AttributeError):
            raise AxolotlError(f"axolotl {version} has no {path}; supported: {SUPPORTED}") from None
        has = tuple(inspect.signature(getattr(function, _MARK, function)).parameters)
        if has != parameters:
            raise AxolotlError(
                f"axolotl {version}: {path} takes ({', '.join(has)}), not ({', '.join(parameters)}); "
                f"supported: {SUPPORTED}"
            )
    if tuple(int(part) for part in version.split(".")[:2]) > NEWEST:
        LOG.warning("axolotl %s is newer than what axolotl-dealign was tested with (%s); it fits", version, SUPPORTED)
    return version


def one_line(function: Callable[..., Any]) -> Callable[..., Any]:
    """At Axolotl's edge an error of ours ends the program with its line, without a traceback."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except DealignError as error:
            raise SystemExit(f"axolotl-dealign: {error}") from error

    return wrapped


def _wrap_hash(original: Callable[..., str]) -> Callable[..., str]:
    @one_line
    def generate_dataset_hash_from_config(cfg: Any, cfg_datasets: list[Any], tokenizer_name: str) -> str:
        base = original(cfg, cfg_datasets, tokenizer_name)
        if not named_in(cfg):
            _run.set(None)
            return base
        run = _run.get()
        if run is None or run.cfg is not cfg:
            run = Run(cfg)
            _run.set(run)
        return run.begin(base, cfg_datasets)

    return generate_dataset_hash_from_config


def _wrap_loader(original: Callable[..., Any]) -> Callable[..., Any]:
    @one_line
    def load_dataset_with_config(dataset_config: Any, use_auth_token: bool, streaming: bool = False) -> Any:
        run = _run.get()
        if run is not None:
            _refuse_missing_file(str(dataset_config.get("path")))
        dataset = original(dataset_config, use_auth_token, streaming=streaming)
        return dataset if run is None else run.load(dataset, dataset_config)

    return load_dataset_with_config


def _refuse_missing_file(path: str) -> None:
    """Say in one line what Axolotl and `datasets` say in long tracebacks: a data file that is missing or empty."""
    file = Path(path)
    if "://" in path or file.suffix not in _DATA_SUFFIXES:
        return
    if not file.exists():
        raise DealignError(f"{path}: no such file; relative paths start in {Path.cwd()}")
    if file.is_file() and file.stat().st_size == 0:
        raise DealignError(f"{path}: the file is empty, there is nothing to train on")


def _wrap_streaming(original: Callable[..., Any]) -> Callable[..., Any]:
    @one_line
    def wrap_streaming_dataset(dataset: Any, tokenizer: Any, cfg: Any, ds_wrapper_fn: Any) -> Any:
        if named_in(cfg):
            entry = ds_wrapper_fn.keywords["dataset_config"]  # Axolotl hands a functools.partial
            run = Run(cfg)
            source = Source(str(entry.get("path")), entry.get("type"), entry)
            dataset = clean_stream(dataset, run.watch, source, audit_dir(cfg))
        return original(dataset, tokenizer, cfg, ds_wrapper_fn)

    return wrap_streaming_dataset


def _expand(cfg_datasets: list[Any]) -> list[Any]:
    from axolotl.utils.data.shared import datasets_with_name_generator

    return list(datasets_with_name_generator(cfg_datasets))


def _find(path: str) -> tuple[Any, str]:
    module, _, name = path.rpartition(".")
    return importlib.import_module(module), name
