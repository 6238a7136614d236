"""Read the answers of a table: flat, by list offsets, without a Python loop over rows.

Reasoning in front of an answer (`<think>…</think>`) is not the answer: thinking about refusing is no refusal.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from axolotl_dealign.formats import CONTENT_KEYS, ROLE_KEYS, AnswerField, RowFormat, is_json, is_list, is_text

_NEWLINE = pa.scalar("\n", pa.large_string())

# Axolotl's own pairs (`split_thinking` in prompt_strategies/chat_template.py).
_THOUGHT_ENDS = ("</think>", "</reasoning>", "<|end_of_thought|>")
_THOUGHT = re.compile(
    # Up to the end of the first thought; its opening tag may be missing where a chat template writes it itself.
    r"\A.*?(?:</think>|</reasoning>|<\|end_of_thought\|>)\s*(?:<\|begin_of_solution\|>\s*)?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Answers:
    """The `n` answers of a table, flat.

    Attributes:
        text: pa.large_string(), n.
        prompt: pa.large_string(), n; null where there is none.
        row: int64, n: the row of the table in which each stands, ascending.
        turn: int32, n: its place in the row's list of messages; 0 where the column is the answer.
        cut: Answer index -> code points of reasoning that were taken off its front.
    """

    text: pa.Array
    prompt: pa.Array
    row: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int32]
    cut: dict[int, int]

    def __len__(self) -> int:
        return len(self.row)


def read_answers(
    table: pa.Table, row_format: RowFormat, answers: AnswerField | None = None, whole: bool = False
) -> Answers:
    """Flatten the answers of a table.

    Args:
        table: Any number of rows, the format's columns at least.
        row_format: From `find_format` on the same columns.
        answers: The column to read; the trained one by default (`row_format.rejected` is the other).
        whole: Leave the reasoning in front of the answers.
    """
    field = answers or row_format.answers
    column = one_chunk(table.column(field.column))
    if field.shape in ("json_chat", "json_messages"):
        column = _parse_chats(column, field)
    rows = np.arange(len(table), dtype=np.int64)
    if field.shape in ("text", "message", "steps"):
        text = _steps(column) if field.shape == "steps" else _text(column, field)
        found = Answers(text, _row_prompts(table, row_format), rows, np.zeros(len(table), np.int32), {})
        return found if whole else _without_reasoning(found)
    offsets, values = flat(column)
    row = np.repeat(rows, np.diff(offsets))
    turn = (np.arange(len(row)) - np.repeat(offsets[:-1] - offsets[0], np.diff(offsets))).astype(np.int32)
    content = _text(values, field)
    if field.shape == "segments":
        mask = np.asarray(pc.fill_null(pc.struct_field(values, "label"), False).to_numpy(zero_copy_only=False), bool)
    else:
        mask = _speaks(pc.struct_field(values, field.role), field.roles)
    places = np.flatnonzero(mask)
    if field.last_only:
        places = places[np.append(row[places][1:] != row[places][:-1], True)] if len(places) else places
    before = np.where(turn[places] > 0, places - 1, -1)
    prompt = content.take(pa.array(before, pa.int64(), mask=before < 0))
    if row_format.prompts:
        prompt = pc.coalesce(prompt, _row_prompts(table, row_format).take(pa.array(row[places])))
    found = Answers(content.take(pa.array(places)), prompt, row[places], turn[places], {})
    return found if whole else _without_reasoning(found)


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; copies only where it is in pieces."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.nulls(0, column.type)])


def no_rows(schema: pa.Schema) -> pa.Table:
    """A table without rows; `schema.empty_table()` cannot make columns of JSON."""
    return pa.table([pa.nulls(0, field.type) for field in schema], schema=schema)


def flat(column: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Of a list array, the offsets (n + 1, first one subtracted from none) and the values between first and last."""
    if column.null_count:  # a null list may own values in the buffer; it must not speak
        # Not by `fill_null`, which knows no lists of JSON.
        lengths = np.where(column.is_valid().to_numpy(zero_copy_only=False), np.diff(column.offsets.to_numpy()), 0)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return offsets, column.flatten()
    offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets, column.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))


def _without_reasoning(answers: Answers) -> Answers:
    text = answers.text
    hits = np.zeros(len(text), bool)
    for end in _THOUGHT_ENDS:
        found = pc.fill_null(pc.match_substring(text, end), False)
        hits |= np.asarray(found.to_numpy(zero_copy_only=False), bool)
    cut: dict[int, int] = {}
    if hits.any():
        texts = text.to_pylist()
        for i in np.flatnonzero(hits).tolist():
            if match := _THOUGHT.match(texts[i]):
                cut[i] = match.end()
                texts[i] = texts[i][match.end() :]
        text = pa.array(texts, pa.large_string())
    return replace(answers, text=text, cut=cut)


def _row_prompts(table: pa.Table, row_format: RowFormat) -> pa.Array:
    """What each row asks: its prompt columns together, or the last message of the conversation it continues."""
    if row_format.history is not None:
        history = row_format.history
        column = one_chunk(table.column(history.column))
        if history.shape == "json_messages":
            column = _parse_chats(column, history)
        elif history.shape != "chat":
            return _text(column, history)
        offsets, values = flat(column)
        last = np.where(np.diff(offsets) > 0, offsets[1:] - offsets[0] - 1, -1)
        return _text(values, history).take(pa.array(last, pa.int64(), mask=last < 0))
    parts = [_text(one_chunk(table.column(name))) for name in row_format.prompts]
    if not parts:
        return pa.nulls(len(table), pa.large_string())
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, _NEWLINE, null_handling="skip")


def _text(column: pa.Array, field: AnswerField | None = None) -> pa.Array:
    """Texts as large_string: offsets are widened, the characters stay where they are."""
    if pa.types.is_struct(column.type) and field is not None:
        column = pc.struct_field(column, field.content)
    if is_text(column.type):
        return column.cast(pa.large_string())
    if is_json(column.type):
        return pa.array([_as_text(json.loads(v)) if v else None for v in column.to_pylist()], pa.large_string())
    if is_list(column.type):  # multi-part content: [{"type": "text", "text": …}, {"type": "image", …}]
        return pa.array([_parts(value) for value in column.to_pylist()], pa.large_string())
    return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.large_string())


def _parts(value: list[Any] | None) -> str | None:
    if value is None:
        return None
    texts = [part if isinstance(part, str) else (part or {}).get("text") for part in value]
    return "\n".join(text for text in texts if text)


def _steps(column: pa.Array) -> pa.Array:
    offsets, values = flat(column)
    return pc.binary_join(pa.ListArray.from_arrays((offsets - offsets[0]).astype(np.int32), _text(values)), _NEWLINE)


def _speaks(roles: pa.Array, answering: frozenset[str]) -> npt.NDArray[np.bool_]:
    mask = pc.is_in(_text(roles), value_set=pa.array(sorted(answering), pa.large_string()))
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)


def _parse_chats(column: pa.Array, field: AnswerField) -> pa.Array:
    """Conversations kept as JSON; one that does not parse has no answer here and Axolotl will say so."""
    kind = pa.list_(pa.struct([(field.role, pa.string()), (field.content, pa.string())]))
    chats: list[list[dict[str, Any]]] = []
    for value in column.to_pylist():
        try:
            chat = [json.loads(text) for text in value] if isinstance(value, list) else json.loads(value or "[]")
        except (json.JSONDecodeError, TypeError):
            chat = []
        messages = [message if isinstance(message, dict) else {} for message in chat] if isinstance(chat, list) else []
        chats.append(
            [
                {
                    field.role: _first(message, [field.role, *ROLE_KEYS]),
                    field.content: _first(message, [field.content, *CONTENT_KEYS]),
                }
                for message in messages
            ]
        )
    return pa.array(chats, kind)


def _first(message: dict[str, Any], keys: list[str]) -> str | None:
    return next((_as_text(message[key]) for key in keys if key in message), None)


def _as_text(value: Any) -> str | None:
    return _parts(value) if isinstance(value, list) else None if value is None else str(value)
