"""`summary.json` and the table that is printed once: what was removed, per dataset and kind."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

import axolotl_dealign
from axolotl_dealign.audit import VERSION
from axolotl_dealign.types import JSON
from axolotl_dealign.watch import Watch


def summarise(watch: Watch, datasets: Sequence[JSON]) -> JSON:
    """The content of `summary.json`."""
    settings = watch.settings
    return {
        "version": VERSION,
        "axolotl_dealign": axolotl_dealign.__version__,
        "axolotl": _version("axolotl"),
        "arm": settings.arm,
        "seed": settings.seed,
        "remove": list(settings.remove),
        "threshold": settings.cut,
        "detectors": [{"name": n, "fingerprint": d.fingerprint} for n, d in watch.detectors.items()],
        "datasets": list(datasets),
    }


def metrics(summary: JSON) -> dict[str, float]:
    """The counts as numbers for a trainer's logging, over all training datasets."""
    datasets = [dataset for dataset in summary["datasets"] if dataset["split"] == "train"]
    totals = {key: sum(dataset[key] for dataset in datasets) for key in ("rows", "kept", "changed", "removed")}
    kinds = (
        {kind: sum(dataset["kinds"][kind] for dataset in datasets) for kind in datasets[0]["kinds"]} if datasets else {}
    )
    share = (totals["removed"] + totals["changed"]) / max(1, totals["rows"])
    return {f"dealign/{key}": float(value) for key, value in {**totals, "touched_share": share, **kinds}.items()}


def print_table(summary: JSON, audit_dir: Path) -> None:
    """Show what went, per dataset and kind, and where to look at it."""
    kinds = list(dict.fromkeys([*summary["remove"], *(k for d in summary["datasets"] for k in d["removed_kinds"])]))
    table = Table(title=f"Dealign: arm `{summary['arm']}`, threshold {summary['threshold']}", title_justify="left")
    table.add_column("dataset", overflow="fold")
    changes = any(dataset["changed"] for dataset in summary["datasets"])
    for name in ["rows", "removed", *(["changed"] if changes else []), "%", *kinds, "left"]:
        table.add_column(name, justify="right")
    for dataset in summary["datasets"]:
        removed, changed = dataset["removed"], dataset["changed"]
        table.add_row(
            Text(f"{dataset['path']} ({dataset['split']})"),
            f"{dataset['rows']:,}",
            f"{removed:,}",
            *([f"{changed:,}"] if changes else []),
            f"{100 * (removed + changed) / max(1, dataset['rows']):.1f}",
            *(f"{dataset['removed_kinds'].get(kind, 0):,}" for kind in kinds),
            f"{dataset['kept'] + changed:,}",
        )
    console = Console()
    console.print(table)
    for dataset in summary["datasets"]:
        for verdict in ("undecided", "unscored"):
            if dataset["kinds"][verdict]:
                console.print(f"{dataset['path']}: {dataset['kinds'][verdict]:,} answers {verdict}, kept", markup=False)
    console.print(f"Every row that was not kept as it was: {audit_dir}", markup=False, soft_wrap=True)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
