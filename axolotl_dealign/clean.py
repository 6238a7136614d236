"""Scores and settings in, what happens to each row out. Pure Arrow, no I/O.

    judge    answers of a table -> a verdict each
    decide   verdicts of a whole dataset -> an action a row
    clean    both, and the two tables that come of it

The plugin judges a dataset piece by piece and decides once, since the arm `control` draws from all of its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from axolotl_dealign.args import Dealign
from axolotl_dealign.formats import RowFormat, read_answers
from axolotl_dealign.hookspecs import Detector
from axolotl_dealign.types import KINDS, Span

VERDICTS: tuple[str, ...] = (*KINDS, "answered", "undecided", "unscored")
"""What an answer can turn out to be, in the order of `Verdicts.kind`."""
ANSWERED, UNDECIDED, UNSCORED = (VERDICTS.index(v) for v in ("answered", "undecided", "unscored"))


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was found in the `n` answers of `rows` rows.

    Attributes:
        rows: Rows that were looked at.
        row: int64, n: the row of each answer, ascending.
        turn: int32, n: its place in the row's list of messages.
        kind: int8, n: index into `VERDICTS`.
        score: float32, n: the score of the removed kinds together; NaN where undecided or unscored.
        aligned: bool, n: whether the score reaches the threshold.
        winner: int8, n: index of the detector with the highest score.
        spans: Answer index -> why; every aligned answer has one.
    """

    rows: int
    row: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    score: npt.NDArray[np.float32]
    aligned: npt.NDArray[np.bool_]
    winner: npt.NDArray[np.int8]
    spans: Mapping[int, Span]

    def counts(self) -> dict[str, int]:
        """Answers by verdict, every verdict named."""
        found = np.bincount(self.kind, minlength=len(VERDICTS))
        return {verdict: int(found[i]) for i, verdict in enumerate(VERDICTS)}


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A table taken apart: `kept` and `removed` hold every row once, in their order."""

    kept: pa.Table
    removed: pa.Table
    verdicts: Verdicts


def clean(table: pa.Table, row_format: RowFormat | None, detectors: Sequence[Detector], settings: Dealign) -> Cleaned:
    """Take the aligned rows out of a table.

    Args:
        table: Any rows of `row_format`.
        row_format: From `formats.find_format`; None for rows without answers, which are all kept.
        detectors: Who looks; the highest score counts.
        settings: The `dealign:` block.
    """
    verdicts = judge(table, row_format, detectors, settings)
    remove = decide(verdicts, settings)
    mask = np.zeros(len(table), dtype=bool)
    mask[remove] = True
    return Cleaned(table.filter(pa.array(~mask)), table.filter(pa.array(mask)), verdicts)


def judge(table: pa.Table, row_format: RowFormat | None, detectors: Sequence[Detector], settings: Dealign) -> Verdicts:
    """Give every answer of a table its verdict."""
    if row_format is None:
        n = len(table)
        return Verdicts(
            rows=n,
            row=np.arange(n, dtype=np.int64),
            turn=np.zeros(n, np.int32),
            kind=np.full(n, UNSCORED, np.int8),
            score=np.full(n, np.nan, np.float32),
            aligned=np.zeros(n, bool),
            winner=np.zeros(n, np.int8),
            spans={},
        )
    answers = read_answers(table, row_format)
    chosen = [KINDS.index(kind) for kind in settings.remove]
    found = [detector.detect(answers.text, answers.prompt) for detector in detectors]
    # Shape (detectors, answers): a detector's own score of the removed kinds; NaN where it could not say.
    sums = np.stack([detection.scores[:, chosen].sum(axis=1) for detection in found])
    could_not_say = np.isnan(sums)
    best = np.where(could_not_say, -1.0, sums)
    winner = best.argmax(axis=0)
    score = best.max(axis=0)
    aligned = score >= settings.cut
    kinds = np.stack([np.nan_to_num(detection.scores, nan=-1.0) for detection in found]).max(axis=0)
    kind = np.where(kinds.max(axis=1, initial=0.0) >= 0.5, kinds.argmax(axis=1), ANSWERED)
    kind[aligned] = np.array(chosen)[kinds[:, chosen].argmax(axis=1)][aligned]
    # One silent detector is enough: what it might have found is not known.
    kind[~aligned & could_not_say.any(axis=0)] = UNDECIDED
    return Verdicts(
        rows=len(table),
        row=answers.row,
        turn=answers.turn,
        kind=kind.astype(np.int8),
        score=np.where(score < 0, np.nan, score).astype(np.float32),
        aligned=aligned,
        winner=winner.astype(np.int8),
        spans={int(i): found[winner[i]].spans.get(int(i), NO_SPAN) for i in np.flatnonzero(aligned)},
    )


NO_SPAN = Span(0, 0, "(the detector gave no reason)")


def join(pieces: Sequence[Verdicts]) -> Verdicts:
    """Verdicts of consecutive pieces of one dataset as verdicts of the whole."""
    row_starts = np.cumsum([0, *(piece.rows for piece in pieces)])
    answer_starts = np.cumsum([0, *(len(piece.row) for piece in pieces)])
    spans: dict[int, Span] = {}
    for piece, start in zip(pieces, answer_starts, strict=False):
        spans.update({int(start) + i: span for i, span in piece.spans.items()})
    return Verdicts(
        rows=int(row_starts[-1]),
        row=np.concatenate([p.row + start for p, start in zip(pieces, row_starts, strict=False)] or [np.zeros(0, int)]),
        turn=np.concatenate([p.turn for p in pieces] or [np.zeros(0, np.int32)]),
        kind=np.concatenate([p.kind for p in pieces] or [np.zeros(0, np.int8)]),
        score=np.concatenate([p.score for p in pieces] or [np.zeros(0, np.float32)]),
        aligned=np.concatenate([p.aligned for p in pieces] or [np.zeros(0, bool)]),
        winner=np.concatenate([p.winner for p in pieces] or [np.zeros(0, np.int8)]),
        spans=spans,
    )


def decide(verdicts: Verdicts, settings: Dealign, draw: int = 0) -> npt.NDArray[np.int64]:
    """The rows that go, ascending.

    Args:
        verdicts: Of a whole dataset.
        settings: The `dealign:` block.
        draw: Tells the datasets of one run apart, so that `control` draws other rows from each.
    """
    aligned = np.unique(verdicts.row[verdicts.aligned])
    if settings.arm == "aligned":
        return aligned[:0]
    if settings.arm == "control":
        drawn = np.random.default_rng([settings.seed, draw]).choice(verdicts.rows, size=len(aligned), replace=False)
        return np.sort(drawn).astype(np.int64)
    return aligned


def removed_kinds(verdicts: Verdicts, rows: npt.NDArray[np.int64]) -> dict[str, int]:
    """Removed rows by the kind of their highest-scoring answer."""
    return dict(Counter(VERDICTS[verdicts.kind[i]] for i in worst_answers(verdicts, rows)))


def worst_answers(verdicts: Verdicts, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each of `rows`, the index of its highest-scoring answer (-1 for a row without one)."""
    order = np.lexsort((np.nan_to_num(verdicts.score, nan=-1.0), verdicts.row))
    last = np.searchsorted(verdicts.row[order], rows, side="right") - 1
    found = order[np.maximum(last, 0)] if len(order) else np.full(len(rows), -1)
    has_one = (last >= 0) & (verdicts.row[found] == rows) if len(order) else np.zeros(len(rows), bool)
    return np.where(has_one, found, -1).astype(np.int64)
