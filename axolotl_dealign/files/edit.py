"""Change one JSON row as `policy.decide` says: what `edits.py` does to Arrow, without adding a key or losing one."""

from __future__ import annotations

import json

import numpy as np

from axolotl_dealign.files.plan import Plan


def edit_row(line: bytes, plan: Plan, place: int) -> bytes:
    """A row's text with its change, written as the row was: ASCII or not, the same end of line.

    Args:
        line: The row as it stands.
        plan: In which the row is one of `decision.changed`.
        place: Of the row in the dataset.
    """
    decision, row_format = plan.decision, plan.row_format
    assert row_format is not None  # only rows of a known format are changed
    row = json.loads(line.decode("utf-8-sig"))
    answers = row_format.answers.column
    first, last = np.searchsorted(decision.turn_row, [place, place + 1])
    turns = decision.turn[first:last].tolist()
    if decision.action == "truncated":
        row[answers] = row[answers][: turns[0]]
    elif decision.action == "masked":
        for turn in turns:
            row[answers][turn][plan.training_key] = False
    elif decision.action == "flipped":
        row[row_format.label] = not row[row_format.label]
    elif row_format.rejected is not None:
        other = row_format.rejected.column
        row[answers], row[other] = row[other], row[answers]
    end = line[len(line.rstrip()) :]
    return json.dumps(row, ensure_ascii=line.isascii()).encode("utf-8", "surrogatepass") + end
