"""README's tables are made from the code: `python tests/test_readme.py` writes them anew, the tests hold them to it."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from axolotl_dealign.args import Dealign, Policy
from axolotl_dealign.cli import main

README = Path(__file__).parents[1] / "README.md"


def keys() -> str:
    order = [
        "arm",
        *Policy.model_fields,
        *(key for key in Dealign.model_fields if key not in {"arm", *Policy.model_fields}),
    ]
    rows = [
        f"| `{key}` | {_shown(Dealign.model_fields[key].default)} | {Dealign.model_fields[key].description} |"
        for key in order
    ]
    return "\n".join(["| key | default | what it does |", "|---|---|---|", *rows])


def commands() -> str:
    rows = [f"| `{name}` | {command.get_short_help_str(150)} |" for name, command in sorted(main.commands.items())]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


TABLES = {"keys": keys, "commands": commands}


def _shown(default: object) -> str:
    if default is None:
        return "–"
    return f"`[{', '.join(default)}]`" if isinstance(default, tuple) else f"`{default}`"


def _between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=\n<!-- /{name} -->)", re.DOTALL)


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_what_the_code_says(name):
    (found,) = _between(name).findall(README.read_text("utf-8"))
    assert found == TABLES[name](), "run: python tests/test_readme.py"


def test_every_command_explains_every_option():
    for name, command in main.commands.items():
        assert command.help, name
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{name} {option.name}"


if __name__ == "__main__":
    text = README.read_text("utf-8")
    for name, make in TABLES.items():
        before, after = _between(name).split(text, 1)
        text = before + make() + after
    README.write_text(text, "utf-8")
