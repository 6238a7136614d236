"""InstructEval's way with long prompts: leave out the last shot until the prompt has at most 2048 tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from axolotl_dealign.errors import ConfigError
from axolotl_dealign.types import JSON

MAX_TOKENS = 2048

Count = Callable[[list[str]], list[int]]
"""Prompts -> their tokens, with those that the tokenizer puts before a text (BOS)."""

log = logging.getLogger(__name__)


class FittedDoc(dict[str, Any]):
    """A question that carries its prompt beside its fields.

    Beside them, so that lm-eval's hash of the question is the same for every tokenizer, and arms still pair.
    """

    prompt: str


class FittedDocs(Sequence[FittedDoc]):
    """What lm-eval asks of a dataset split: its length, its rows, the names of its columns."""

    def __init__(self, docs: Sequence[FittedDoc]) -> None:
        self._docs = docs

    @property
    def features(self) -> Mapping[str, None]:
        """Keyed by column."""
        return dict.fromkeys(self._docs[0])

    def __len__(self) -> int:
        return len(self._docs)

    def __getitem__(self, index: Any) -> Any:
        return self._docs[index]


def fit(heads: Sequence[str], questions: Sequence[str], count: Count, most: int = MAX_TOKENS) -> list[int]:
    """How many shots each prompt keeps.

    Args:
        heads: What stands before the question with 0, 1, … n shots.
        questions: The ends of the prompts.
        count: Counts tokens of whole prompts, because a prompt has not the tokens of its parts.
        most: The tokens that a prompt may have.

    Returns:
        For each question the largest number of shots with which the prompt fits, 0 where none does.
    """
    shots = [0] * len(questions)
    open_ = list(range(len(questions)))
    for kept in range(len(heads) - 1, 0, -1):
        lengths = count([heads[kept] + questions[i] for i in open_]) if open_ else []
        fits = [i for i, length in zip(open_, lengths, strict=True) if length <= most]
        for i in fits:
            shots[i] = kept
        open_ = [i for i, length in zip(open_, lengths, strict=True) if length > most]
    return shots


def fitted(
    docs: Sequence[JSON], heads: Sequence[str], questions: Sequence[str], model: Mapping[str, object]
) -> FittedDocs:
    """The questions with the prompts that fit the tokenizer of the model under test.

    Args:
        docs: n questions.
        heads: As in `fit`.
        questions: Their texts.
        model: `--model_args` and `--metadata`, as lm-eval gives them to a task.

    Raises:
        ConfigError: They name no tokenizer, or it cannot be loaded.
    """
    shots = fit(heads, questions, counter(model))
    out = []
    for doc, question, kept in zip(docs, questions, shots, strict=True):
        row = FittedDoc(doc)
        row.prompt = heads[kept] + question
        out.append(row)
    if shortened := sum(kept < len(heads) - 1 for kept in shots):
        log.info("%d of %d prompts keep fewer than %d shots", shortened, len(docs), len(heads) - 1)
    return FittedDocs(out)


def counter(model: Mapping[str, object]) -> Count:
    """Counts as lm-eval's own models would encode; `tokenizer` wins over `pretrained`, that over a server's `model`."""
    name = model.get("tokenizer") or model.get("pretrained") or model.get("model")
    if not isinstance(name, str):
        raise ConfigError(
            "the 2048-token tasks fit prompts to the tokenizer of the model under test, and none is named: give "
            'pretrained= or tokenizer= in --model_args, or --metadata \'{"tokenizer": "NAME or DIR"}\''
        )
    options = {
        "trust_remote_code": model.get("trust_remote_code") or False,
        "use_fast": model.get("use_fast_tokenizer", True),
    }
    options |= {key: model[key] for key in ("revision", "subfolder", "add_bos_token") if model.get(key) is not None}
    if model.get("gguf_file") and not model.get("tokenizer"):
        options = {**options, "gguf_file": model["gguf_file"]}
        del options["use_fast"]
    tokenizer = _tokenizer(name, tuple(options.items()))
    return lambda prompts: [len(ids) for ids in tokenizer(prompts, verbose=False)["input_ids"]]


@lru_cache(maxsize=1)
def _tokenizer(name: str, options: tuple[tuple[str, object], ...]) -> Any:
    """Loaded once for the 85 tasks that ask for it."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name, **dict(options))
    except Exception as error:  # the hub's client raises many kinds
        reason = (str(error).splitlines() or ["no message"])[0][:200]
        raise ConfigError(f"cannot load the tokenizer {name} ({type(error).__name__}: {reason})") from error
