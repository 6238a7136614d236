"""The rows of the audit: what was not kept as it was, whole, with the reason.

Columns that start with `_` are ours, the others are the row as it was:

    _dataset      path of the dataset as the user wrote it    _split     train or test
    _row          0-based, in the dataset that Axolotl loaded _hash      sha256 of the row's JSON, first 16 hex digits
    _kind         verdict on the answer that decided          _score     score of the removed kinds, 0-1
    _start, _end  code points of the match in that answer     _reason    the phrase or features
    _detector     who said so                                 _turn      place of that answer in the row's messages
    _action       removed, truncated, masked, swapped, flipped
    _answer       that answer
    _line         the row's own text, last; only of JSON lines that the command line cleaned
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from axolotl_dealign.answers import read_answers
from axolotl_dealign.errors import DealignError
from axolotl_dealign.formats import RowFormat
from axolotl_dealign.policy import Decision
from axolotl_dealign.types import JSON
from axolotl_dealign.verdicts import NO_SPAN, VERDICTS, Verdicts, worst_answers
from axolotl_dealign.watch import BY_PERSON

COLUMNS = tuple(
    "_dataset _split _row _hash _kind _score _start _end _reason _detector _turn _action _answer _line".split()
)
"""All of ours."""


def audit_table(
    rows: pa.Table,
    row_format: RowFormat | None,
    verdicts: Verdicts,
    decision: Decision,
    dataset: str,
    split: str,
    detectors: Sequence[str],
    places: npt.NDArray[np.int64] | None = None,
) -> pa.Table:
    """The rows that were not kept as they were, with our columns in front.

    Args:
        rows: `places` of the dataset, as they were.
        row_format: Where its answers stand; None where it has none, and so no `places`.
        verdicts: Of the dataset.
        decision: Of the dataset.
        dataset: Its path as the user wrote it.
        split: `train` or `test`.
        detectors: Names, in the order of `Verdicts.winner`.
        places: Some of `decision.touched`, ascending, where a dataset is too large to take them all; default: all.
    """
    places = decision.touched if places is None else places
    n = len(rows)
    worst = worst_answers(verdicts, places)
    spans = [verdicts.spans.get(int(i), NO_SPAN) for i in worst]
    names = [*detectors, BY_PERSON]
    removed = np.isin(places, decision.removed)
    ours = {
        "_dataset": pa.array([dataset] * n, pa.string()),
        "_split": pa.array([split] * n, pa.string()),
        "_row": pa.array(places, pa.int64()),
        "_hash": pa.array([row_hash(row) for row in rows.to_pylist()], pa.string()),
        "_kind": pa.array([VERDICTS[verdicts.kind[i]] for i in worst], pa.string()),
        "_score": pa.array(verdicts.score[worst], pa.float32(), mask=np.isnan(verdicts.score[worst])),
        "_start": pa.array([span.start for span in spans], pa.int32()),
        "_end": pa.array([span.end for span in spans], pa.int32()),
        "_reason": pa.array([span.reason for span in spans], pa.string()),
        "_detector": pa.array(
            [names[verdicts.winner[i]] if verdicts.spans.get(int(i)) else "" for i in worst], pa.string()
        ),
        "_turn": pa.array(verdicts.turn[worst], pa.int32()),
        "_action": pa.array(["removed" if gone else decision.action for gone in removed.tolist()], pa.string()),
        "_answer": deciding(rows, row_format, verdicts.turn[worst])[0],
    }
    if clash := sorted(set(ours) & set(rows.column_names)):
        raise DealignError(
            f"{dataset}: the columns {', '.join(clash)} are named as the audit's own; rename them in the data"
        )
    # Hugging Face's description of the columns in the schema's metadata does not know ours.
    plain = rows.replace_schema_metadata(None)
    return pa.table({**ours, **{name: plain.column(name) for name in plain.column_names}})


def deciding(rows: pa.Table, row_format: RowFormat | None, turns: npt.NDArray[np.int32]) -> tuple[pa.Array, pa.Array]:
    """The answer of each row that stands at a turn, and its prompt."""
    if row_format is None:
        return (pa.nulls(len(rows), pa.large_string()),) * 2
    found = read_answers(rows, row_format, whole=True)
    # Answers stand in the order of rows and turns.
    width = 1 + int(found.turn.max(initial=0))
    wanted = np.searchsorted(found.row * width + found.turn, np.arange(len(rows)) * width + turns)
    return found.text.take(pa.array(wanted)), found.prompt.take(pa.array(wanted))


def row_hash(row: JSON) -> str:
    """What a row holds, as 16 hex digits: sha256 of its JSON with sorted keys, without keys that are null.

    Nulls are left out since the same row has more of them once it is read beside rows with more columns.
    """
    text = json.dumps(_without_nulls(row), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
