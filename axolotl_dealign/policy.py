"""Verdicts of a whole dataset in, what happens to each row out.

What a row is decides what can be done to it:

    a text answer           drop the row
    a conversation          `on_turn`: drop the row, truncate it before the first aligned turn, or mask those turns
    a preference pair       `on_chosen`: an aligned `chosen` drops the row or swaps it with `rejected`; an aligned
                            `rejected` is what such data is for
    a KTO row, label true   `on_desirable`: drop the row or flip its label; with label false it stays
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from axolotl_dealign.args import Dealign
from axolotl_dealign.formats import RowFormat
from axolotl_dealign.verdicts import Verdicts

Action = Literal["truncated", "masked", "swapped", "flipped"]

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to the rows of a dataset.

    Attributes:
        removed: Rows that go, ascending.
        changed: Rows that stay changed, ascending; none of them is in `removed`.
        action: What is done to all of `changed`.
        turn_row: The rows of the turns below, ascending: only rows of `changed`.
        turn: int32: of a truncated row the number of messages that stay; of a masked row the turns to mask.
    """

    removed: Rows
    changed: Rows
    action: Action | None
    turn_row: Rows
    turn: npt.NDArray[np.int32]

    @property
    def touched(self) -> Rows:
        """Every row that is not kept as it was, ascending."""
        return np.union1d(self.removed, self.changed)


_NO_ROWS = np.zeros(0, np.int64)
_NO_TURNS = np.zeros(0, np.int32)


def decide(verdicts: Verdicts, row_format: RowFormat | None, settings: Dealign, draw: int = 0) -> Decision:
    """Decide for a whole dataset.

    Args:
        verdicts: Of all of its rows.
        row_format: Where its answers stand.
        settings: The `dealign:` block.
        draw: Tells the datasets of one run apart, so that `control` draws other rows from each.
    """
    acted_on = verdicts.aligned & verdicts.wanted
    replaceable = verdicts.replaceable
    if settings.arm == "aligned" or row_format is None:
        acted_on = np.zeros_like(acted_on)
    if settings.arm == "control":
        acted_on, replaceable = _random_answers(verdicts, acted_on, np.random.default_rng([settings.seed, draw]))
    rows = np.unique(verdicts.row[acted_on])
    masks = settings.on_turn == "mask" and settings.arm != "aligned"
    if row_format is None or not (len(rows) or masks):
        return Decision(rows, _NO_ROWS, None, _NO_ROWS, _NO_TURNS)
    if row_format.rejected is not None and settings.on_chosen == "swap":
        swapped = np.unique(verdicts.row[acted_on & replaceable])
        return Decision(np.setdiff1d(rows, swapped), swapped, "swapped", _NO_ROWS, _NO_TURNS)
    if row_format.label is not None and settings.on_desirable == "flip":
        return Decision(_NO_ROWS, rows, "flipped", _NO_ROWS, _NO_TURNS)
    has_turns = row_format.answers.shape in ("chat", "json_messages")
    if has_turns and row_format.rejected is None and row_format.label is None:
        if settings.on_turn == "mask":
            return Decision(_NO_ROWS, rows, "masked", verdicts.row[acted_on], verdicts.turn[acted_on])
        if settings.on_turn == "truncate":
            return _truncate(verdicts, acted_on, rows)
    return Decision(rows, _NO_ROWS, None, _NO_ROWS, _NO_TURNS)


def _truncate(verdicts: Verdicts, acted_on: npt.NDArray[np.bool_], rows: Rows) -> Decision:
    """Cut each row behind the last answer before its first aligned one: the question goes with its answer."""
    # Answers stand in the order of rows and turns, so that the answer before is the array's neighbour.
    places = np.flatnonzero(acted_on)
    first = places[np.unique(verdicts.row[places], return_index=True)[1]]
    before = np.maximum(first - 1, 0)
    has_one = (first > 0) & (verdicts.row[before] == rows)
    stays = verdicts.turn[before] + 1
    kept = rows[has_one]
    return Decision(rows[~has_one], kept, "truncated", kept, stays[has_one].astype(np.int32))


def _random_answers(
    verdicts: Verdicts, acted_on: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """As many rows as `dealigned` touches, with as many answers in each as it would touch there, drawn at random.

    Returns:
        Which answers are acted on, and which of these are taken for replaceable.
    """
    per_row = np.unique(verdicts.row[acted_on], return_counts=True)[1]
    swaps = len(np.unique(verdicts.row[acted_on & verdicts.replaceable]))
    # "From all rows": those with an answer that training makes more likely; the others cannot be acted on.
    starts = np.flatnonzero(np.append(True, verdicts.row[1:] != verdicts.row[:-1])) if len(verdicts.row) else _NO_ROWS
    ends = np.append(starts[1:], len(verdicts.row))
    candidates = np.flatnonzero(verdicts.wanted[starts])
    drawn = rng.choice(candidates, size=len(per_row), replace=False)
    chosen = np.zeros(len(verdicts.row), bool)
    replaceable = np.zeros(len(verdicts.row), bool)
    for place, (group, count) in enumerate(zip(drawn, per_row, strict=True)):
        answers = np.arange(starts[group], ends[group])
        picked = rng.choice(answers, size=min(int(count), len(answers)), replace=False)
        chosen[picked] = True
        replaceable[picked] = place < swaps
    return chosen, replaceable
