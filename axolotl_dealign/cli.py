"""The command line: `axolotl-dealign …`, and the same as `axolotl dealign …`.

Light on purpose: `axolotl --help` imports this module, so every command imports its work when it runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from axolotl_dealign.errors import DealignError

PATH = click.Path(path_type=Path)


class _Group(click.Group):
    """Prints a DealignError as one line and exits with its code: 1 failed, 2 usage."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DealignError as error:
            click.echo(f"axolotl-dealign: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="axolotl-dealign")
def main() -> None:
    """Remove aligned answers from fine-tuning data, and measure what that did."""


@main.command()
def tasks() -> None:
    """Print the folder to give to `lm_eval run --include_path`."""
    from axolotl_dealign.tasks import include_path

    click.echo(include_path())


if __name__ == "__main__":
    main()
