"""Write folders in lm-eval's layout (0.4.9 to 0.4.13 have the same), with scores of our choice."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DATE = "2026-01-02T03-04-05.678901"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def line(task: str, doc_id: int, scores: Mapping[str, float], answer: str, **changes: Any) -> dict[str, Any]:
    doc = {"question": f"{task} question {doc_id}"}
    return {
        "doc_id": doc_id,
        "doc": doc,
        "target": "yes",
        "arguments": {"gen_args_0": {"arg_0": f"{doc['question']}\nAnswer:", "arg_1": {"until": []}}},
        "resps": [[answer]],
        "filtered_resps": [answer],
        "filter": "none",
        "metrics": list(scores),
        "doc_hash": sha(json.dumps(doc)),
        "prompt_hash": sha(f"prompt {doc}"),
        "target_hash": sha("yes"),
        **scores,
        **changes,
    }


def write(
    folder: Path,
    tasks: Mapping[str, Sequence[dict[str, Any]]],
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    reported: Mapping[str, Mapping[str, float]] | None = None,
    max_gen_toks: int = 8,
    model: str = "tiny",
    date: str = DATE,
) -> Path:
    out = folder / f"__{model}"
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for task, lines in tasks.items():
        metrics = lines[0]["metrics"]
        means = {f"{m},none": sum(row[m] for row in lines) / len(lines) for m in metrics}
        results[task] = {"alias": task, **means, **{f"{m}_stderr,none": "N/A" for m in metrics}}
        text = "".join(json.dumps(row) + "\n" for row in lines)
        (out / f"samples_{task}_{date}.jsonl").write_text(text)
    document = {
        "results": {**results, **(reported or {})},
        "group_subtasks": {**{task: [] for task in tasks}, **(groups or {})},
        "configs": {
            task: {
                "task": task,
                "output_type": "generate_until",
                "generation_kwargs": {"until": [], "max_gen_toks": max_gen_toks},
            }
            for task in tasks
        },
        "versions": {task: 1.0 for task in tasks},
        "higher_is_better": {
            task: {m: m not in ("refusal", "unanswered") for m in rows[0]["metrics"]} for task, rows in tasks.items()
        },
        "config": {"model": "hf", "model_args": {"pretrained": model}, "limit": None, "batch_size": 1},
        "lm_eval_version": "0.4.13",
        "model_name": model,
    }
    (out / f"results_{date}.json").write_text(json.dumps(document))
    return folder


def arm(folder: Path, right: Mapping[str, str], **options: Any) -> Path:
    """An arm whose i-th answer to a task is right where the i-th character is `1`."""
    tasks = {
        task: [line(task, i, {"acc": float(c)}, "yes" if c == "1" else "no") for i, c in enumerate(scores)]
        for task, scores in right.items()
    }
    return write(folder, tasks, **options)
