"""`clean(table)`: the whole data way on one Arrow table, without I/O.

    judge    answers of the table -> a verdict each              verdicts.py
    decide   verdicts -> what happens to each row                policy.py
    apply    change the rows that stay changed                   edits.py

The plugin and the command line take the same three steps with many tables of one dataset; Ray Data's
`map_batches(..., batch_format="pyarrow")` takes `clean` as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from axolotl_dealign.args import Dealign
from axolotl_dealign.edits import TRAINING_KEY, apply
from axolotl_dealign.formats import RowFormat
from axolotl_dealign.hookspecs import Detector
from axolotl_dealign.policy import Decision, decide
from axolotl_dealign.verdicts import Verdicts, judge


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A table taken apart.

    Attributes:
        kept: The rows that stay, in their order, changed where the decision says so.
        removed: The rows that go, in their order, as they were.
        verdicts: On every answer.
        decision: On every row.
    """

    kept: pa.Table
    removed: pa.Table
    verdicts: Verdicts
    decision: Decision


def clean(
    table: pa.Table,
    row_format: RowFormat | None,
    detectors: Sequence[Detector],
    settings: Dealign,
    training_key: str = TRAINING_KEY,
) -> Cleaned:
    """Take the aligned answers out of a table.

    Args:
        table: Any rows of `row_format`.
        row_format: From `formats.find_format`; None for rows without answers, which are all kept.
        detectors: Who looks; the highest score counts.
        settings: The `dealign:` block.
        training_key: Key of a message that says whether to train on it, for `on_turn: mask`.
    """
    verdicts = judge(table, row_format, detectors, settings)
    decision = decide(verdicts, row_format, settings)
    changed = table if row_format is None else apply(table, row_format, decision, training_key=training_key)
    mask = np.zeros(len(table), dtype=bool)
    mask[decision.removed] = True
    return Cleaned(changed.filter(pa.array(~mask)), table.filter(pa.array(mask)), verdicts, decision)
