"""What both readers share: the plan of the second reading, and the shape of a reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from axolotl_dealign.formats import RowFormat
from axolotl_dealign.policy import Decision

Places = npt.NDArray[np.int64]

Touched = Callable[[pa.Table, Places, pa.Array | None], None]
"""Gets rows that are not kept as they were, whole and unchanged, with their places and their texts if they are lines
of JSON; in order, first none at all, which tells the columns."""

LINE = "_line"
"""Column of the audit with the text of a row that is a line of JSON: what was parsed of it may say less."""

Progress = Callable[[int], None]
"""Gets how much was read since the last call, in the reader's unit."""


@dataclass(frozen=True)
class Plan:
    """What the second reading does.

    Attributes:
        decision: Of the dataset.
        row_format: Where its answers stand; None where it has none.
        training_key: `message_field_training`, for `on_turn: mask`.
    """

    decision: Decision
    row_format: RowFormat | None
    training_key: str

    @cached_property
    def touched(self) -> Places:
        """Every row that is not kept as it was, ascending."""
        return self.decision.touched

    def touched_in(self, start: int, rows: int) -> Places:
        """Those of a piece, as places in the dataset."""
        return _between(self.touched, start, rows)

    def stays(self, start: int, rows: int) -> npt.NDArray[np.bool_]:
        """Which rows of a piece stay, changed or not."""
        mask = np.ones(rows, bool)
        mask[_between(self.decision.removed, start, rows) - start] = False
        return mask

    def changed_in(self, start: int, rows: int) -> Places:
        """The changed rows of a piece, as places in the dataset."""
        return _between(self.decision.changed, start, rows)


class Reader(Protocol):
    """The rows of one dataset on disk, read from the start as often as asked, a bounded piece at a time.

    Attributes:
        schema: Of its columns.
        size: How much there is to read, in `unit`.
        unit: `B` or `rows`.
    """

    schema: pa.Schema
    size: int
    unit: str

    def pieces(self, columns: Sequence[str] | None, progress: Progress) -> Iterator[pa.Table]:
        """All rows in order; only some columns where they are named."""
        ...

    def rewrite(self, part: Path, plan: Plan, touched: Touched, progress: Progress) -> int:
        """Write the rows that stay to `part` and hand over the touched ones.

        Returns:
            How many rows were written.
        """
        ...


def _between(places: Places, start: int, rows: int) -> Places:
    low, high = np.searchsorted(places, [start, start + rows])
    return places[low:high]
