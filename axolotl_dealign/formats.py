"""Where the answers stand in the rows of a dataset.

`find_format` turns what a user wrote under `datasets:` (Axolotl's `type:` and field names) and the columns that
are really there into a `RowFormat`. Reading them is `answers.py`.

Field names are those of Axolotl's prompt strategies (`axolotl/prompt_tokenizers.py`, `axolotl/prompt_strategies/`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from axolotl_dealign.errors import SchemaError

Shape = Literal["text", "chat", "json_messages", "json_chat", "message", "segments", "steps"]

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
ROLE_KEYS, CONTENT_KEYS = ["role", "from"], ["content", "value", "text"]


@dataclass(frozen=True, slots=True)
class AnswerField:
    """One column that holds answers.

    Attributes:
        column: Its name.
        shape: text: the column is the answer. chat: a list of messages, of which some roles answer. json_chat: the
            same as a JSON string. json_messages: a list of JSON texts, a message each, which is how `datasets` keeps
            messages that are not all alike (tool calls, content in parts). message: one message. segments:
            `input_output` segments, of which those with `label` answer. steps: a list of texts, together one answer.
        role: Key of the role in a message (chat).
        content: Key of the text in a message (chat) or segment.
        roles: The roles that answer (chat).
        last_only: Only the last answer counts (chat): the others are history that both answers of a pair share.
    """

    column: str
    shape: Shape = "text"
    role: str = "role"
    content: str = "content"
    roles: frozenset[str] = ANSWER_ROLES
    last_only: bool = False


@dataclass(frozen=True, slots=True)
class RowFormat:
    """Where the answers of a dataset stand.

    Attributes:
        name: Axolotl's `type:`, or what the columns look like.
        answers: What is trained on.
        prompts: Columns that together are the prompt of a row; of a chat, the turn before the answer is.
        history: A column with the conversation that a preference pair continues.
        rejected: The losing answer of preference data.
        label: The column that says whether a KTO row is wanted.
    """

    name: str
    answers: AnswerField
    prompts: tuple[str, ...] = ()
    rejected: AnswerField | None = None
    label: str | None = None
    history: AnswerField | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that have to be read."""
        fields = [field.column for field in (self.answers, self.rejected, self.history) if field]
        return list(dict.fromkeys([*fields, *self.prompts, *([self.label] if self.label else [])]))


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


def _preference(schema: pa.Schema, kind: Any, options: Mapping[str, Any]) -> RowFormat | None:
    fields = {**options, **kind} if isinstance(kind, Mapping) else options
    chosen = fields.get("field_chosen") or next((c for c in ("chosen", "chosen_response") if c in schema.names), None)
    rejected = fields.get("field_rejected") or next(
        (c for c in ("rejected", "rejected_response") if c in schema.names), None
    )
    prompts = _prompt_columns(schema, fields.get("field_prompt"))
    history = None
    if not prompts and (chat := options.get("field_messages") or "messages") in schema.names:
        history = _answer_field(schema, chat, options)
    if chosen in schema.names and rejected in schema.names:
        return RowFormat(
            _name(kind) or "preference",
            replace(_answer_field(schema, str(chosen), options), last_only=True),
            prompts,
            rejected=replace(_answer_field(schema, str(rejected), options), last_only=True),
            history=history,
        )
    label = fields.get("field_label") or "label"
    completion = fields.get("field_completion") or "completion"
    if label in schema.names and completion in schema.names and pa.types.is_boolean(schema.field(label).type):
        answers = replace(_answer_field(schema, completion, options), last_only=True)
        return RowFormat(_name(kind) or "kto", answers, prompts, label=label, history=history)
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
    for column in [str(named)] if named in schema.names else _CHAT_COLUMNS:
        if column not in schema.names:
            continue
        found = _answer_field(schema, column, options)
        if found.shape == "text" and _name(kind).startswith("chat_template"):
            # Axolotl reads a string here as JSON.
            mapped = options.get("message_property_mappings") or {}
            found = replace(
                found, shape="json_chat", role=mapped.get("role") or "role", content=mapped.get("content") or "content"
            )
        if found.shape in ("chat", "json_messages", "json_chat"):
            return RowFormat(_name(kind) or "chat", found)
    return None


def _plain(schema: pa.Schema, kind: Any) -> RowFormat | None:
    for column in _ANSWER_COLUMNS:
        if column in schema.names and is_text(schema.field(column).type):
            return RowFormat(_name(kind) or column, AnswerField(column), _prompt_columns(schema, None, column))
    return None


def _answer_field(schema: pa.Schema, column: str, options: Mapping[str, Any]) -> AnswerField:
    """A column by what it holds: texts, or messages with the keys that the user maps or that are usual."""
    kind = schema.field(column).type
    shape: Shape = "chat" if is_list(kind) else "message"
    message = kind.value_type if is_list(kind) else kind
    mapped = options.get("message_property_mappings") or {}
    role = mapped.get("role") or options.get("message_field_role")
    content = mapped.get("content") or options.get("message_field_content")
    roles = options.get("roles") or {}
    answering = frozenset({"assistant", *roles["assistant"]}) if roles.get("assistant") else ANSWER_ROLES
    if is_list(kind) and is_json(message):
        return AnswerField(column, "json_messages", role or "role", content or "content", answering)
    if not pa.types.is_struct(message):
        return AnswerField(column)
    keys = [message.field(i).name for i in range(message.num_fields)]
    # Axolotl writes its defaults ("role", "content") into the block, whether or not the rows have these keys.
    role = role if role in keys else next((key for key in ROLE_KEYS if key in keys), None)
    content = content if content in keys else next((key for key in CONTENT_KEYS if key in keys), None)
    if role is None or content is None:
        return AnswerField(column)
    return AnswerField(column, shape, role, content, answering)


def _prompt_columns(schema: pa.Schema, named: str | None, answer: str | None = None) -> tuple[str, ...]:
    names = [named] if named else _PROMPT_COLUMNS
    return tuple(c for c in names if c != answer and c in schema.names and is_text(schema.field(c).type))


def _prompts_only(schema: pa.Schema) -> bool:
    return bool(set(schema.names) & {"prompt", "question", "problem"})


def _name(kind: Any) -> str:
    return "user_defined" if isinstance(kind, Mapping) else str(kind or "")


def is_text(kind: pa.DataType) -> bool:
    """Strings with 32- or 64-bit offsets."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_json(kind: pa.DataType) -> bool:
    """JSON texts in Arrow's own type for them, which `datasets` gives to fields of mixed types."""
    return str(kind) == "extension<arrow.json>"


def is_list(kind: pa.DataType) -> bool:
    """Lists of any length with 32- or 64-bit offsets."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
