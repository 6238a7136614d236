"""Change rows as `policy.decide` says: truncate, mask, swap, flip. Pure Arrow."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from axolotl_dealign.answers import flat, one_chunk
from axolotl_dealign.formats import RowFormat, is_json
from axolotl_dealign.policy import Decision

TRAINING_KEY = "train"
"""Key of a message that says whether to train on it, where the user names none (`message_field_training`)."""


def apply(
    table: pa.Table, row_format: RowFormat, decision: Decision, start: int = 0, training_key: str = TRAINING_KEY
) -> pa.Table:
    """Change the rows of a piece of a dataset; none is taken out.

    Args:
        table: Consecutive rows.
        row_format: Where the answers stand.
        decision: For the whole dataset.
        start: Place of the table's first row in it.
        training_key: `message_field_training`, for masking. Every piece gets the key, so that all have one schema.
    """
    if decision.action is None:
        return table
    mine = decision.changed[(decision.changed >= start) & (decision.changed < start + len(table))] - start
    if decision.action == "masked":
        return _on_messages(table, row_format, lambda column: _mask(column, decision, start, training_key))
    if not len(mine):
        return table
    if decision.action == "truncated":
        return _on_messages(table, row_format, lambda column: _truncate(column, decision, start))
    mask = np.zeros(len(table), bool)
    mask[mine] = True
    if decision.action == "flipped":
        assert row_format.label is not None  # only rows with a label are flipped
        label = one_chunk(table.column(row_format.label))
        return _set(table, row_format.label, pc.if_else(pa.array(mask), pc.invert(label), label))
    assert row_format.rejected is not None  # only pairs are swapped
    names = row_format.answers.column, row_format.rejected.column
    chosen, rejected = (one_chunk(table.column(name)) for name in names)
    if chosen.type != rejected.type:
        rejected = rejected.cast(chosen.type)
    # One `take` over both columns serves nested types too, which `if_else` does not.
    both = pa.concat_arrays([chosen, rejected])
    here = np.arange(len(table))
    there = here + len(table)
    table = _set(table, names[0], both.take(pa.array(np.where(mask, there, here))))
    return _set(table, names[1], both.take(pa.array(np.where(mask, here, there))))


def mark_trained(table: pa.Table, row_format: RowFormat, training_key: str) -> pa.Table:
    """The table with the key that masking needs in every message, null."""
    nothing = np.zeros(0, np.int64)
    decision = Decision(nothing, nothing, "masked", nothing, np.zeros(0, np.int32))
    return apply(table, row_format, decision, training_key=training_key)


def _truncate(column: pa.Array, decision: Decision, start: int) -> pa.Array:
    offsets, values = flat(column)
    lengths = np.diff(offsets)
    stays = lengths.copy()
    inside = (decision.turn_row >= start) & (decision.turn_row < start + len(lengths))
    stays[decision.turn_row[inside] - start] = decision.turn[inside]
    place = np.arange(len(values)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    kept = values.filter(pa.array(place < np.repeat(stays, lengths)))
    return _lists(column, np.concatenate([[0], np.cumsum(stays)]), kept)


def _mask(column: pa.Array, decision: Decision, start: int, key: str) -> pa.Array:
    offsets, values = flat(column)
    inside = (decision.turn_row >= start) & (decision.turn_row < start + len(offsets) - 1)
    places = offsets[decision.turn_row[inside] - start] - offsets[0] + decision.turn[inside]
    masked = np.zeros(len(values), bool)
    masked[places] = True
    if is_json(values.type):
        texts = values.to_pylist()
        for place in np.flatnonzero(masked).tolist():
            texts[place] = json.dumps({**json.loads(texts[place]), key: False}, ensure_ascii=False)
        return _lists(column, offsets - offsets[0], pa.array(texts, pa.string()).cast(values.type))
    names = [values.type.field(i).name for i in range(values.type.num_fields)]
    had = pc.struct_field(values, key).cast(pa.bool_()) if key in names else pa.nulls(len(values), pa.bool_())
    # A null leaves `roles_to_train` in force for that message.
    trains = pc.if_else(pa.array(masked), pa.scalar(False), had)
    fields = {name: pc.struct_field(values, name) for name in names} | {key: trains}
    structs = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    return _lists(column, offsets - offsets[0], structs)


def _lists(like: pa.Array, offsets: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    mask = like.is_null() if like.null_count else None
    if pa.types.is_large_list(like.type):
        return pa.LargeListArray.from_arrays(offsets, values, mask=mask)
    return pa.ListArray.from_arrays(offsets.astype(np.int32), values, mask=mask)


def _on_messages(table: pa.Table, row_format: RowFormat, edit: Callable[[pa.Array], pa.Array]) -> pa.Table:
    name = row_format.answers.column
    return _set(table, name, edit(one_chunk(table.column(name))))


def _set(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)
