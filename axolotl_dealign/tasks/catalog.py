"""The groups of lm-eval tasks that this package offers, told by their own YAML files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from axolotl_dealign.tasks import include_path


@dataclass(frozen=True, slots=True)
class Group:
    """What a group costs and measures, summed over the groups in it.

    Attributes:
        name: What `--tasks` takes.
        requests: Questions to the model; None, as the next two, where nothing is known beforehand.
        prompt_tokens: Tokens read, with the tokenizer of Mistral 7B.
        new_tokens: Tokens written at most.
        partly: These three leave out a part that is not known beforehand.
        better: The main metric and its better direction.
        licence: Of the questions.
        source: The data set on the hub, or the paper of prompts that ship here.
        runs_code: lm-eval wants --confirm_run_unsafe_code for it.
    """

    name: str
    requests: int | None
    prompt_tokens: int | None
    new_tokens: int | None
    partly: bool
    better: str
    licence: str
    source: str
    runs_code: bool


def groups() -> list[Group]:
    """Every group below `include_path()`, by name."""
    files = {path: _read(path) for path in sorted(include_path().rglob("*.yaml"))}
    configs = {str(config["group"]): config for config in files.values() if "group" in config}
    unsafe = {str(config["task"]) for path, config in files.items() if "task" in config and _unsafe(path, config)}
    return [_group(name, configs, unsafe) for name in sorted(configs)]


def table() -> str:
    """The groups as text, a line each."""
    head = ("group", "requests", "tokens read", "written, at most", "better", "licence", "source")
    rows: list[tuple[str, ...]] = [head]
    for group in groups():
        more = ">" if group.partly else ""
        costs = (group.requests, group.prompt_tokens, group.new_tokens)
        rows.append(
            (
                f"{group.name} *" if group.runs_code else group.name,
                *("?" if number is None else f"{more}{number:,}" for number in costs),
                *(text or "?" for text in (group.better, group.licence, group.source)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if 1 <= i <= 3 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(
        [*(line.rstrip() for line in lines), "* runs generated code: lm-eval wants --confirm_run_unsafe_code"]
    )


def _group(name: str, configs: Mapping[str, Mapping[str, Any]], unsafe: set[str]) -> Group:
    parts = [dict(config.get("metadata") or {}) for config in _with_costs(name, configs)]

    known = [part for part in parts if part.get("requests")]

    def text(key: str) -> str:
        return ", ".join(dict.fromkeys(str(part[key]) for part in parts if part.get(key)))

    return Group(
        name=name,
        requests=sum(part["requests"] for part in known) if known else None,
        prompt_tokens=sum(part["prompt_tokens"] for part in known) if known else None,
        new_tokens=sum(part["requests"] * part["new_tokens"] for part in known) if known else None,
        partly=len(known) < len(parts),
        better=text("better"),
        licence=text("licence"),
        source=text("source"),
        # Tasks of lm-eval itself are known by name only.
        runs_code=any(task in unsafe or task.startswith("humaneval") for task in _tasks(name, configs)),
    )


def _with_costs(name: str, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The groups under a group that say what they cost: itself, or those in it."""
    config = configs[name]
    if "better" in (config.get("metadata") or {}):
        yield config
        return
    for child in config["task"]:
        if child in configs:
            yield from _with_costs(child, configs)


def _tasks(name: str, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for child in configs[name]["task"]:
        if child in configs:
            yield from _tasks(child, configs)
        else:
            yield str(child)


def _unsafe(path: Path, config: Mapping[str, Any]) -> bool:
    """Whether a task runs generated code, told by its file or one that it includes."""
    while "unsafe_code" not in config and "include" in config:
        path = path.parent / str(config["include"])
        config = _read(path)
    return bool(config.get("unsafe_code"))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the fast one, if it was built
    """Reads a task's YAML without running what its `!function` tags name."""


_Loader.add_constructor("!function", lambda loader, node: node.value)


def _read(path: Path) -> Mapping[str, Any]:
    config: Mapping[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
    return config
