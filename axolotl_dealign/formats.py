"""Where the answers stand in the rows of a dataset, and how to read them without copying text.

`find_format` turns what a user wrote under `datasets:` (Axolotl's `type:` and field names) and the columns that
are really there into a `RowFormat`; `read_answers` flattens the answers of a table of that format.

Field names are those of Axolotl's prompt strategies (`axolotl/prompt_tokenizers.py`, `axolotl/prompt_strategies/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from axolotl_dealign.errors import SchemaError

Shape = Literal["text", "chat", "segments", "steps"]

ANSWER_ROLES = frozenset({"assistant", "gpt", "model", "bot", "chatbot"})
"""Roles that speak as the model, where the user maps none; Axolotl itself maps `gpt` and `assistant`."""

_TYPE_COLUMNS: dict[str, tuple[str, ...]] = {
    "alpaca": ("output",),
    "gpteacher": ("response",),
    "oasst": ("RESPONSE",),
    "summarizetldr": ("summary",),
    "jeopardy": ("answer",),
    "explainchoice": ("solution", "explanation"),
    "concisechoice": ("solution", "explanation"),
    "reflection": ("corrected",),
    "alpaca_reflection": ("corrected",),
    "metharme": ("generation",),
}
"""Base of Axolotl's `type:` -> the columns it trains on. Types not named here are recognised by their columns."""

_ANSWER_COLUMNS = ["output", "response", "RESPONSE", "completion", "answer", "solution", "explanation", "summary"] + [
    "generation",
    "message_2",
    "assistant",
    "target",
    "text",
]
_PROMPT_COLUMNS = ["instruction", "INSTRUCTION", "prompt", "question", "article", "message_1", "query", "user", "input"]
_CHAT_COLUMNS = ["messages", "conversations", "conversation", "chat"]
_NEWLINE = pa.scalar("\n", pa.large_string())
_ROLE_KEYS, _CONTENT_KEYS = ["role", "from"], ["content", "value", "text"]


@dataclass(frozen=True, slots=True)
class AnswerField:
    """One column that holds answers.

    Attributes:
        column: Its name.
        shape: text: the column is the answer. chat: a list of messages, of which some roles answer. segments:
            `input_output` segments, of which those with `label` answer. steps: a list of texts, together one answer.
        role: Key of the role in a message (chat).
        content: Key of the text in a message (chat) or segment.
        roles: The roles that answer (chat).
    """

    column: str
    shape: Shape = "text"
    role: str = "role"
    content: str = "content"
    roles: frozenset[str] = ANSWER_ROLES


@dataclass(frozen=True, slots=True)
class RowFormat:
    """Where the answers of a dataset stand.

    Attributes:
        name: Axolotl's `type:`, or what the columns look like.
        answers: What is trained on.
        prompts: Columns that together are the prompt of a row; of a chat, the turn before the answer is.
        rejected: The losing answer of preference data.
        label: The column that says whether a KTO row is wanted.
    """

    name: str
    answers: AnswerField
    prompts: tuple[str, ...] = ()
    rejected: AnswerField | None = None
    label: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that have to be read."""
        rejected = [self.rejected.column] if self.rejected else []
        label = [self.label] if self.label else []
        return list(dict.fromkeys([self.answers.column, *self.prompts, *rejected, *label]))


@dataclass(frozen=True, slots=True)
class Answers:
    """The `n` answers of a table, flat.

    Attributes:
        text: pa.large_string(), n.
        prompt: pa.large_string(), n; null where there is none.
        row: int64, n: the row of the table in which each stands, ascending.
        turn: int32, n: its place in the row's list of messages; 0 where the column is the answer.
    """

    text: pa.Array
    prompt: pa.Array
    row: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int32] = field(repr=False)

    def __len__(self) -> int:
        return len(self.row)


def find_format(
    schema: pa.Schema, dataset_type: str | Mapping[str, Any] | None, options: Mapping[str, Any], where: str
) -> RowFormat | None:
    """Recognise a dataset.

    Args:
        schema: The columns that are there.
        dataset_type: Axolotl's `type:` (a name, or a block of field names), or None for a file by itself.
        options: The rest of the dataset's block: `field`, `field_messages`, `message_property_mappings`, ….
        where: The dataset's name, for the error.

    Returns:
        None where the rows hold no answer on purpose: tokenised before (`input_ids`), or prompts alone.

    Raises:
        SchemaError: The columns fit nothing that is known.
    """
    found = (
        _preference(schema, dataset_type, options)
        or _named(schema, dataset_type, options)
        or _chat(schema, dataset_type, options)
        or _plain(schema, dataset_type)
    )
    if found is not None or "input_ids" in schema.names or _prompts_only(schema):
        return found
    raise SchemaError(
        f"{where}: no column with answers among {', '.join(schema.names) or '(none)'} for type "
        f"`{_name(dataset_type) or 'unset'}`; name it (`field_messages`, `field`, or a user-defined type with "
        "`field_output`), or set `dealign.on_unknown: keep` to train on these rows unchecked"
    )


def read_answers(table: pa.Table, row_format: RowFormat, answers: AnswerField | None = None) -> Answers:
    """Flatten the answers of a table.

    Args:
        table: Any number of rows, the format's columns at least.
        row_format: From `find_format` on the same columns.
        answers: The column to read; the trained one by default (`row_format.rejected` is the other).
    """
    answers = answers or row_format.answers
    column = _one_chunk(table.column(answers.column))
    rows = np.arange(len(table), dtype=np.int64)
    if answers.shape == "text":
        prompt = _join_prompts(table, row_format.prompts)
        return Answers(_text(column), prompt, rows, np.zeros(len(table), np.int32))
    offsets, values = _flat(column)
    row = np.repeat(rows, np.diff(offsets))
    turn = (np.arange(len(row)) - np.repeat(offsets[:-1] - offsets[0], np.diff(offsets))).astype(np.int32)
    if answers.shape == "steps":
        joined = pc.binary_join(
            pa.ListArray.from_arrays((offsets - offsets[0]).astype(np.int32), _text(values)), _NEWLINE
        )
        return Answers(joined, _join_prompts(table, row_format.prompts), rows, np.zeros(len(table), np.int32))
    content = _text(_field(values, answers.content))
    if answers.shape == "segments":
        mask = pc.fill_null(_field(values, "label"), False).to_numpy(zero_copy_only=False).astype(bool)
    else:
        mask = _speaks(_field(values, answers.role), answers.roles)
    places = np.flatnonzero(mask)
    before = np.where(turn[places] > 0, places - 1, -1)
    prompt = content.take(pa.array(before, pa.int64(), mask=before < 0))
    if row_format.prompts:
        prompt = pc.coalesce(prompt, _join_prompts(table, row_format.prompts).take(pa.array(row[places])))
    return Answers(content.take(pa.array(places)), prompt, row[places], turn[places])


def _preference(schema: pa.Schema, kind: Any, options: Mapping[str, Any]) -> RowFormat | None:
    fields = {**options, **kind} if isinstance(kind, Mapping) else options
    chosen = fields.get("field_chosen") or next((c for c in ("chosen", "chosen_response") if c in schema.names), None)
    rejected = fields.get("field_rejected") or next(
        (c for c in ("rejected", "rejected_response") if c in schema.names), None
    )
    prompts = _prompt_columns(schema, fields.get("field_prompt"))
    if chosen in schema.names and rejected in schema.names:
        return RowFormat(
            _name(kind) or "preference",
            _answer_field(schema, str(chosen), options),
            prompts,
            rejected=_answer_field(schema, str(rejected), options),
        )
    label = fields.get("field_label") or "label"
    completion = fields.get("field_completion") or "completion"
    if label in schema.names and completion in schema.names and pa.types.is_boolean(schema.field(label).type):
        return RowFormat(_name(kind) or "kto", _answer_field(schema, completion, options), prompts, label=label)
    return None


def _named(schema: pa.Schema, kind: Any, options: Mapping[str, Any]) -> RowFormat | None:
    """Types whose answer column the user or Axolotl names outright."""
    if isinstance(kind, Mapping):
        column = kind.get("field_output") or "output"
        if column not in schema.names:
            return None
        prompt = [kind.get("field_instruction") or "instruction", kind.get("field_input") or "input"]
        return RowFormat("user_defined", AnswerField(column), tuple(c for c in prompt if c in schema.names))
    base = _name(kind).split(":")[0].split(".")[0]
    if base in ("completion", "pretrain"):
        column = options.get("field") or options.get("text_column") or "text"
        return RowFormat(base, AnswerField(column)) if column in schema.names else None
    if base == "input_output" and "segments" in schema.names:
        return RowFormat(base, AnswerField("segments", "segments", content="text"))
    if base == "stepwise_supervised" and "completions" in schema.names:
        return RowFormat(base, AnswerField("completions", "steps"), _prompt_columns(schema, None))
    for column in _TYPE_COLUMNS.get(base, ()):
        if column in schema.names:
            return RowFormat(_name(kind), AnswerField(column), _prompt_columns(schema, None, column))
    return None


def _chat(schema: pa.Schema, kind: Any, options: Mapping[str, Any]) -> RowFormat | None:
    named = options.get("field_messages")
    for column in [named] if named else _CHAT_COLUMNS:
        if column in schema.names and (found := _answer_field(schema, column, options)).shape == "chat":
            return RowFormat(_name(kind) or "chat", found)
    return None


def _plain(schema: pa.Schema, kind: Any) -> RowFormat | None:
    for column in _ANSWER_COLUMNS:
        if column in schema.names and _is_text(schema.field(column).type):
            return RowFormat(_name(kind) or column, AnswerField(column), _prompt_columns(schema, None, column))
    return None


def _answer_field(schema: pa.Schema, column: str, options: Mapping[str, Any]) -> AnswerField:
    """A column by what it holds: texts, or lists of messages with the keys that the user maps or that are usual."""
    kind = schema.field(column).type
    if not (_is_list(kind) and pa.types.is_struct(kind.value_type)):
        return AnswerField(column)
    keys = [kind.value_type.field(i).name for i in range(kind.value_type.num_fields)]
    mapped = options.get("message_property_mappings") or {}
    role = mapped.get("role") or options.get("message_field_role")
    content = mapped.get("content") or options.get("message_field_content")
    # Axolotl writes its defaults ("role", "content") into the block, whether or not the rows have these keys.
    role = role if role in keys else next((key for key in _ROLE_KEYS if key in keys), None)
    content = content if content in keys else next((key for key in _CONTENT_KEYS if key in keys), None)
    if role is None or content is None:
        return AnswerField(column)
    roles = options.get("roles") or {}
    answering = frozenset({"assistant", *roles["assistant"]}) if roles.get("assistant") else ANSWER_ROLES
    return AnswerField(column, "chat", role, content, answering)


def _prompt_columns(schema: pa.Schema, named: str | None, answer: str | None = None) -> tuple[str, ...]:
    names = [named] if named else _PROMPT_COLUMNS
    return tuple(c for c in names if c != answer and c in schema.names and _is_text(schema.field(c).type))


def _prompts_only(schema: pa.Schema) -> bool:
    return bool(set(schema.names) & {"prompt", "question", "problem"})


def _name(kind: Any) -> str:
    return "user_defined" if isinstance(kind, Mapping) else str(kind or "")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _flat(column: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Offsets (n + 1) and the values between the first and the last of them."""
    offsets = column.offsets.to_numpy().astype(np.int64)
    if column.null_count:  # a null list may own values in the buffer; it must not speak
        column = pc.fill_null(column, pa.scalar([], column.type))
        offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets, column.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))


def _field(structs: pa.Array, key: str) -> pa.Array:
    return pc.struct_field(structs, key)


def _speaks(roles: pa.Array, answering: frozenset[str]) -> npt.NDArray[np.bool_]:
    mask = pc.is_in(_text(roles), value_set=pa.array(sorted(answering), pa.large_string()))
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)


def _text(column: pa.Array) -> pa.Array:
    """Texts as large_string: offsets are widened, the characters stay where they are."""
    if _is_text(column.type):
        return column.cast(pa.large_string())
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode().cast(pa.large_string())
    if _is_list(column.type):  # multi-part content: [{"type": "text", "text": …}, {"type": "image", …}]
        return pa.array([_parts(value) for value in column.to_pylist()], pa.large_string())
    return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.large_string())


def _parts(value: list[Any] | None) -> str | None:
    if value is None:
        return None
    texts = [part if isinstance(part, str) else (part or {}).get("text") for part in value]
    return "\n".join(text for text in texts if text)


def _join_prompts(table: pa.Table, columns: tuple[str, ...]) -> pa.Array:
    if not columns:
        return pa.nulls(len(table), pa.large_string())
    parts = [_text(_one_chunk(table.column(name))) for name in columns]
    if len(parts) == 1:
        return parts[0]
    return pc.binary_join_element_wise(*parts, _NEWLINE, null_handling="skip")
