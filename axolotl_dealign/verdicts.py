"""Answers of a table in, a verdict each out. Pure Arrow, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from axolotl_dealign.answers import Answers, one_chunk, read_answers
from axolotl_dealign.args import Dealign
from axolotl_dealign.formats import RowFormat
from axolotl_dealign.hookspecs import Detector
from axolotl_dealign.types import KINDS, Span

NO_SPAN = Span(0, 0, "(the detector gave no reason)")
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
        wanted: bool, n: whether training makes the answer more likely; not so for a KTO row with label false.
        replaceable: bool, n: whether the row has another answer to train on instead: of a preference pair, a rejected
            one that is not aligned. Only looked for where the answer is aligned.
        winner: int8, n: index of the detector with the highest score.
        spans: Answer index -> why; every aligned answer has one.
    """

    rows: int
    row: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    score: npt.NDArray[np.float32]
    aligned: npt.NDArray[np.bool_]
    wanted: npt.NDArray[np.bool_]
    replaceable: npt.NDArray[np.bool_]
    winner: npt.NDArray[np.int8]
    spans: Mapping[int, Span]

    def counts(self) -> dict[str, int]:
        """Answers by verdict, every verdict named."""
        found = np.bincount(self.kind, minlength=len(VERDICTS))
        return {verdict: int(found[i]) for i, verdict in enumerate(VERDICTS)}


def judge(table: pa.Table, row_format: RowFormat | None, detectors: Sequence[Detector], settings: Dealign) -> Verdicts:
    """Give every answer of a table its verdict.

    Args:
        table: Any rows of `row_format`.
        row_format: From `formats.find_format`; None for rows without answers, which are `unscored`.
        detectors: Who looks; the highest score counts.
        settings: The `dealign:` block.
    """
    n = len(table)
    if row_format is None:
        nothing = Answers(pa.nulls(n), pa.nulls(n), np.arange(n, dtype=np.int64), np.zeros(n, np.int32), {})
        no_score, no = np.full(n, np.nan, np.float32), np.zeros(n, bool)
        kind, winner = np.full(n, UNSCORED, np.int8), np.zeros(n, np.int8)
        return Verdicts(n, nothing.row, nothing.turn, kind, no_score, no, ~no, no.copy(), winner, {})
    answers = read_answers(table, row_format)
    kind, score, aligned, winner, spans = _score(answers, detectors, settings)
    wanted = np.ones(len(answers), bool)
    if row_format.label is not None:
        label = one_chunk(table.column(row_format.label)).fill_null(False)
        wanted = np.asarray(label.to_numpy(zero_copy_only=False), bool)[answers.row]
    replaceable = np.zeros(len(answers), bool)
    if row_format.rejected is not None and settings.on_chosen == "swap" and aligned.any():
        rows = answers.row[aligned]
        other = read_answers(table.take(pa.array(rows)), row_format, row_format.rejected)
        verdict = _score(other, detectors, settings)
        good = np.zeros(len(rows), bool)
        good[other.row] = ~verdict[2] & (verdict[0] != UNDECIDED)
        replaceable[np.flatnonzero(aligned)] = good
    return Verdicts(n, answers.row, answers.turn, kind, score, aligned, wanted, replaceable, winner, spans)


def _score(
    answers: Answers, detectors: Sequence[Detector], settings: Dealign
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.int8], dict[int, Span]]:
    """Kind, score, aligned, winner and spans of answers."""
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
    spans = {}
    for i in np.flatnonzero(aligned).tolist():
        span, cut = found[winner[i]].spans.get(i, NO_SPAN), answers.cut.get(i, 0)
        spans[i] = Span(span.start + cut, span.end + cut, span.reason) if cut else span
    score = np.where(score < 0, np.nan, score).astype(np.float32)
    return kind.astype(np.int8), score, aligned, winner.astype(np.int8), spans


def join(pieces: Sequence[Verdicts]) -> Verdicts:
    """Verdicts of consecutive pieces of one dataset (one at least) as verdicts of the whole."""
    row_starts = np.cumsum([0, *(piece.rows for piece in pieces)])
    answer_starts = np.cumsum([0, *(len(piece.row) for piece in pieces)])
    spans: dict[int, Span] = {}
    for piece, start in zip(pieces, answer_starts, strict=False):
        spans.update({int(start) + i: span for i, span in piece.spans.items()})
    columns = {
        field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])
        for field in fields(Verdicts)
        if field.name not in ("rows", "row", "spans")
    }
    row = np.concatenate([piece.row + start for piece, start in zip(pieces, row_starts, strict=False)])
    return Verdicts(rows=int(row_starts[-1]), row=row, spans=spans, **columns)


def overrule(verdicts: Verdicts, keep: npt.NDArray[np.bool_], remove: npt.NDArray[np.bool_], person: int) -> Verdicts:
    """Put a person's word over the detectors'.

    Args:
        verdicts: Of a whole dataset.
        keep: bool, rows: stays whatever was found.
        remove: bool, rows: goes whatever was found.
        person: What stands for the person among the indices of `winner`.
    """
    by_person = remove[verdicts.row]
    aligned = (verdicts.aligned & ~keep[verdicts.row]) | by_person
    spans = {i: span for i, span in verdicts.spans.items() if aligned[i]}
    spans.update({int(i): spans.get(int(i), Span(0, 0, "named by a person")) for i in np.flatnonzero(by_person)})
    winner = np.where(by_person, np.int8(person), verdicts.winner)
    return replace(verdicts, aligned=aligned, spans=spans, winner=winner)


def worst_answers(verdicts: Verdicts, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each of `rows` (ascending; every one has an answer), the index of the answer with the highest score."""
    if not len(rows):
        return np.zeros(0, np.int64)
    # Only the answers between the first and the last of the rows: a large dataset comes here piece by piece.
    start, stop = np.searchsorted(verdicts.row, [rows[0], rows[-1] + 1])
    row = verdicts.row[start:stop]
    order = np.lexsort((np.nan_to_num(verdicts.score[start:stop], nan=-1.0), row))
    last: npt.NDArray[np.int64] = start + order[np.searchsorted(row[order], rows, side="right") - 1]
    return last
