"""What the YAML files of this folder name with `!function`: rows, prompts and scores as InstructEval has them.

Facts from declare-lab/instruct-eval at commit 49bbd2c; tests compare all 20,672 prompts and all scores.
"""

from __future__ import annotations

import ast
import random
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import datasets

try:
    from axolotl_dealign.errors import SchemaError
    from axolotl_dealign.refusals import judge_ahead, refused
    from axolotl_dealign.refusals import mean_judged as mean_judged  # named in _common_yaml
    from axolotl_dealign.tasks import fit, sandbox
    from axolotl_dealign.tasks.rows import load
except ImportError as error:
    raise ImportError("these tasks need their package: pip install axolotl-dealign") from error

Doc = dict[str, Any]
Splits = dict[str, Any]
Scores = dict[str, float | None]

NUMBER = r"\d|\b(zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b"
WORDS = ("yes", "no", "true", "false", "valid", "invalid")


def mmlu_rows(subset: str, poa_data: object = None, **_: object) -> Splits:
    """Five dev rows and all test rows of a subject."""
    shots, test = load("mmlu", "dev", subset, poa_data)[:5], load("mmlu", "test", subset, poa_data)
    return _splits(shots, test, lambda row: "ABCD"[row["answer"]])


def bbh_rows(subset: str, poa_data: object = None, **_: object) -> Splits:
    """A subtask; its first three rows are the shots and never scored."""
    rows = load("bbh", "test", subset, poa_data)
    return _splits(rows[:3], rows[3:], lambda row: str(row["target"]))


def drop_rows(poa_data: object = None, **_: object) -> Splits:
    """The questions whose annotators agree; three are the shots, and no other on their passages is scored."""
    rows = [row for row in load("drop", "validation", None, poa_data) if len(set(_spans(row))) == 1]
    shots = random.Random(0).sample(rows, k=min(3, len(rows)))
    seen = {row["passage"] for row in shots}
    return _splits(shots, [row for row in rows if row["passage"] not in seen], lambda row: _spans(row)[0])


def humaneval_rows(poa_data: object = None, **_: object) -> Splits:
    """All problems; the target is only for show, since a program is right when it passes `test`."""
    rows = load("humaneval", "test", None, poa_data)
    return {"test": _splits([], rows, lambda row: str(row["canonical_solution"]))["test"]}


def mmlu_2048_rows(subset: str, poa_data: object = None, **model: object) -> Splits:
    """`mmlu_rows`, with prompts of at most 2048 tokens."""
    # lm-eval's own prompt takes this line from the YAML file, where it is `description`.
    header = f"The following are multiple choice questions (with answers) about  {subset.replace('_', ' ')}.\n\n"
    return _fitted(mmlu_rows(subset, poa_data), mmlu_question, model, header)


def bbh_2048_rows(subset: str, poa_data: object = None, **model: object) -> Splits:
    """`bbh_rows`, with prompts of at most 2048 tokens."""
    return _fitted(bbh_rows(subset, poa_data), bbh_question, model)


def drop_2048_rows(poa_data: object = None, **model: object) -> Splits:
    """`drop_rows`, with prompts of at most 2048 tokens."""
    return _fitted(drop_rows(poa_data), drop_question, model)


def fitted_prompt(doc: fit.FittedDoc) -> str:
    """The whole prompt of a 2048-token task."""
    return doc.prompt


def mmlu_question(doc: Doc) -> str:
    """The question as it stands in a shot and at the end of the prompt; nothing is stripped."""
    choices = "".join(f"\n{letter}. {choice}" for letter, choice in zip("ABCD", doc["choices"], strict=True))
    return f"{doc['question']}{choices}\nAnswer:"


def bbh_question(doc: Doc) -> str:
    """The question as it stands in a shot and at the end of the prompt."""
    return f"{doc['input']}\nAnswer:"


def drop_question(doc: Doc) -> str:
    """The passage and the question as they stand in a shot and at the end of the prompt."""
    return f"{doc['passage'].strip()} {doc['question'].strip()}\nAnswer:"


def humaneval_prompt(doc: Doc) -> str:
    """InstructEval's instruction, then the beginning of the program."""
    return (
        "Please complete the following Python code without providing any additional tasks such as testing or "
        f"explanations\n{doc['prompt']}"
    )


def completion(output: str) -> str:
    """The part of an output that InstructEval runs: lines of even indent, up to the first blank line."""
    lines = [f" {line}" if (len(line) - len(line.lstrip(" "))) % 2 else line for line in output.split("\n")]
    return "\n".join(lines).lstrip("\n").split("\n\n")[0]


def program(doc: Doc, output: str) -> str:
    """What is run for an output: the problem's own tests come last, and an error in them fails it."""
    return f"{doc['prompt']}{completion(output)}\n{doc['test']}\ncheck({doc['entry_point']})"


def judge_bbh(resps: Iterable[Any], docs: list[Doc]) -> list[Any]:
    """A filter that changes nothing: it only judges all outputs before they are scored one by one."""
    return _judged(resps, [doc["input"] for doc in docs])


def judge_humaneval(resps: Iterable[Any], docs: list[Doc]) -> list[Any]:
    """As `judge_bbh`."""
    return _judged(resps, [humaneval_prompt(doc) for doc in docs])


def mmlu_score(doc: Doc, results: list[Any]) -> Scores:
    """Unanswered: the stripped output does not start with A, B, C or D."""
    output = text(results)
    return scores(starts_with(doc, output), output.strip()[:1] in set("ABCD"))


def bbh_score(doc: Doc, results: list[Any]) -> Scores:
    """Unanswered: the stripped output does not start with an answer of the target's form."""
    output = text(results)
    return scores(
        starts_with(doc, output),
        bool(re.match(bbh_form(doc["target"]), output.strip(), re.IGNORECASE)),
        refusal=refused([output], [doc["input"]])[0],
    )


def drop_score(doc: Doc, results: list[Any]) -> Scores:
    """Unanswered: nothing but blanks and punctuation or, where a number is asked for, no number."""
    output = text(results)
    number = doc["target"].replace(",", "").replace(".", "").isdigit()
    return scores(starts_with(doc, output), bool(re.search(NUMBER if number else r"[^\W_]", output, re.IGNORECASE)))


def humaneval_score(doc: Doc, results: list[Any]) -> Scores:
    """Right: the program runs to its end within three seconds. Unanswered: no line of what is run is a statement."""
    output = text(results)
    passed = sandbox.run(program(doc, output)).passed
    return scores(passed, has_code(completion(output)), refusal=refused([output], [humaneval_prompt(doc)])[0])


def starts_with(doc: Doc, output: str) -> bool:
    """InstructEval's rule on MMLU, BBH and DROP: the stripped output starts with the label, in its case."""
    return output.strip().startswith(doc["target"])


def scores(correct: bool, answered: bool, **more: float | None) -> Scores:
    """Metrics of one question; a right answer is an answer, and an unanswered one has no share in `acc_answered`.

    None is a missing value, written as null. Every metric is there for every question, since lm-eval takes the
    count of one metric for the size of the task.
    """
    answered = answered or correct
    return {
        "acc": float(correct),
        "unanswered": float(not answered),
        "acc_answered": float(correct) if answered else None,
        **{name: None if value is None else float(value) for name, value in more.items()},
    }


def text(results: list[Any]) -> str:
    """The output; what is no text (a server's null) is an empty, unanswered one."""
    return results[0] if isinstance(results[0], str) else ""


def bbh_form(target: str) -> str:
    """What an answer begins with, by the form of the target: an option, a number, a word, brackets, a list."""
    if re.fullmatch(r"\([A-Z]\)", target):
        return r"\([A-Z]\)|[A-Z]([).:]|\s*$)"
    if re.fullmatch(r"-?\d+", target):
        return r"-?\d"
    if target.lower() in WORDS:
        return rf"({'|'.join(WORDS)})\b"
    if re.fullmatch(r"[\[\](){}<> ]+", target):
        return r"[\[\](){}<>]"
    return rf"({'|'.join(map(re.escape, target.split()))})(?!\w)"


def has_code(source: str) -> bool:
    """Whether a line of it is a Python statement: more than a name, a value or a comparison, which prose can be too."""
    for line in filter(None, map(str.strip, source.split("\n"))):
        for statement in (line, f"{line} pass"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about what the model wrote
                try:
                    body = ast.parse(statement).body
                except (SyntaxError, ValueError, RecursionError, MemoryError):
                    continue
            doing = [node for node in body if not isinstance(node, (ast.Expr, ast.Pass))]
            if doing or any(isinstance(node, (ast.Call, ast.Yield)) for part in body for node in ast.walk(part)):
                return True
    return False


def _judged(resps: Iterable[Any], prompts: list[str]) -> list[Any]:
    outputs = list(resps)
    judge_ahead([text([output]) for output in outputs], prompts)
    return outputs


def _fitted(splits: Splits, question: Callable[[Doc], str], model: dict[str, object], header: str = "") -> Splits:
    shots = [f"{question(shot)} {shot['target']}\n\n" for shot in splits["shots"]]
    heads = [header + "".join(shots[:kept]) for kept in range(len(shots) + 1)]
    docs = list(splits["test"])
    return {**splits, "test": fit.fitted(docs, heads, [question(doc) for doc in docs], model)}


def _spans(row: Doc) -> list[str]:
    return [span.strip() for span in row["answers_spans"]["spans"]]


def _splits(shots: list[Doc], test: list[Doc], target: Any) -> Splits:
    if not test:
        raise SchemaError(f"no question is left beside the {len(shots)} shots; give the whole published split")
    return {
        name: datasets.Dataset.from_list([{**row, "target": target(row)} for row in rows])
        for name, rows in (("shots", shots), ("test", test))
    }
