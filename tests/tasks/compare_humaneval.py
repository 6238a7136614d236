"""Compares the sandbox's verdicts with InstructEval's: `python compare_humaneval.py INSTRUCT_EVAL PROTOCOL`.

INSTRUCT_EVAL is a clone of declare-lab/instruct-eval (its execution.py is run, without any guard of ours, so use a
machine that you can throw away). PROTOCOL holds `humaneval_test.jsonl.gz` and `expected_prompts.jsonl.gz`.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from test_scores import poa

from axolotl_dealign.tasks import sandbox


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def variants(solution: str, recorded: str, number: int) -> Iterator[tuple[str, str]]:
    """Completions of one problem, right ones and broken ones."""
    yield "canonical", solution
    yield "recorded", recorded
    yield "cut", solution.rstrip()[:-3]
    yield "wrong", "    return None\n"
    yield "main", f'{solution}    # x\nif __name__ == "__main__":\n    raise SystemExit(1)\n'
    yield "chat", f"Sure! Here is the code:\n```python\n{solution}```\n"
    yield "odd indent", "\n".join(line.removeprefix(" ") for line in solution.split("\n"))
    yield "sys.exit", "    import sys; sys.exit(0)\n"
    yield "os._exit", "    import os; os._exit(0)\n"
    yield "swapped", solution.replace("<", ">") if "<" in solution else solution.replace("+", "-")
    yield "printing", f"    print('x' * 1000)\n{solution}"
    yield "endless", "    while True: pass\n" if number % 20 == 0 else solution.replace("return", "return not", 1)


def main(instruct_eval: Path, protocol: Path) -> None:
    sys.path.insert(0, str(instruct_eval))
    from human_eval.execution import check_correctness

    recorded = [r["answer"] for r in read(protocol / "expected_prompts.jsonl.gz") if r["task"] == "humaneval"]
    counts: Counter[tuple[str, bool]] = Counter()
    different = 0
    for number, problem in enumerate(read(protocol / "humaneval_test.jsonl.gz")):
        for kind, output in variants(problem["canonical_solution"], recorded[number], number):
            theirs = check_correctness(problem, poa.completion(output), 3.0)["passed"]
            ours = sandbox.run(poa.program(problem, output)).passed
            counts[kind, theirs] += 1
            if ours != theirs:
                different += 1
                print(f"{problem['task_id']}, {kind}: {theirs} there, {ours} here")
    for (kind, passed), count in sorted(counts.items()):
        print(f"{kind}: {count} {'pass' if passed else 'fail'}")
    print(f"{counts.total()} programs, {different} different verdicts")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
