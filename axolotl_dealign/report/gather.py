"""Results folders -> a `Report`: every arm read, questions paired, effects estimated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from axolotl_dealign.errors import ConfigError, ResultsError
from axolotl_dealign.refusals import refused
from axolotl_dealign.registry import did_you_mean
from axolotl_dealign.report.model import Contrast, Report, Result, Trained
from axolotl_dealign.results import Benchmark, Floats, Samples, Unpaired, benchmarks, common_questions, read_run
from axolotl_dealign.stats import Codes, Effect, design, holm, mcnemar, over_seeds, relative_change
from axolotl_dealign.types import JSON

Source = Path | Mapping[str, Sequence[Path]]

LONG = 20
"""New tokens from which on an output is long enough to tell a refusal ("I'm sorry, but I can't …")."""


def gather(source: Source, reference: str | None = None) -> Report:
    """Read every arm and compare them.

    Args:
        source: The output folder of `compare`, or arm -> the lm-eval output folders of its trainings.
        reference: The arm that the others are compared with; by default what compare.json says, else `aligned`.

    Raises:
        ConfigError: Fewer than two arms, or no such reference.
        ResultsError: A folder cannot be read, or the arms share no question.
    """
    if isinstance(source, Path):
        arms, manifest = _compare_folder(source)
    else:
        arms, manifest = {arm: [_trained(folder) for folder in folders] for arm, folders in source.items()}, {}
    reference = reference or manifest.get("reference") or "aligned"
    if len(arms) < 2:
        raise ConfigError(
            f"a report compares at least two arms, got {', '.join(arms) or 'none'}; give ARM=DIR for each"
        )
    if reference not in arms:
        raise ConfigError(f"no arm `{reference}` to compare with{did_you_mean(reference, list(arms))}; see --reference")
    report = Report(arms, reference, [], command=manifest.get("command"))
    for trained in [t for trainings in arms.values() for t in trainings]:
        report.warnings.extend(trained.run.warnings)
    for benchmark in _benchmarks(report):
        result = _result(benchmark, report)
        if result is not None:
            report.results.append(result)
    if not report.results:
        raise ResultsError(
            f"the arms {', '.join(arms)} were not scored on the same questions, so there is nothing to compare; "
            "run the same --tasks with the same --limit for each"
        )
    _adjust(report.results)
    return report


def _compare_folder(folder: Path) -> tuple[dict[str, list[Trained]], JSON]:
    path = folder / "compare.json"
    try:
        manifest: JSON = json.loads(path.read_text(encoding="utf-8"))
        listed = {arm: list(trainings) for arm, trainings in manifest["arms"].items()}
    except FileNotFoundError:
        raise ResultsError(
            f"no compare.json in {folder}; give an output folder of `compare`, or ARM=DIR ARM=DIR"
        ) from None
    except (ValueError, KeyError, AttributeError) as error:
        raise ResultsError(f"{path} is not what `compare` writes ({type(error).__name__}: {error})") from error

    def inside(entry: JSON, key: str) -> Path | None:
        return folder / entry[key] if entry.get(key) else None

    return {
        arm: [
            Trained(
                read_run(folder / entry["eval"]),
                entry.get("seed"),
                inside(entry, "audit"),
                inside(entry, "config"),
                inside(entry, "model"),
            )
            for entry in trainings
        ]
        for arm, trainings in listed.items()
    }, manifest


def _trained(folder: Path) -> Trained:
    audits = sorted(folder.rglob("dealign/summary.json")) if folder.is_dir() else []
    return Trained(read_run(folder), audit=audits[0].parent if audits else None)


def _benchmarks(report: Report) -> list[Benchmark]:
    """The benchmarks of the reference; what only other arms were scored on is named."""
    own = benchmarks(report.arms[report.reference][0].run)
    known = {benchmark.name for benchmark in own}
    for arm, trainings in report.arms.items():
        extra = [b.name for b in benchmarks(trainings[0].run) if b.name not in known]
        if extra:
            report.warnings.append(f"{report.reference} was not scored on {', '.join(extra)} as {arm} was: left out")
    return own


def _result(benchmark: Benchmark, report: Report) -> Result | None:
    """One benchmark over the arms that were scored on it, or None where fewer than two were."""
    parts: dict[str, list[dict[str, Samples]]] = {}
    for arm, trainings in report.arms.items():
        scored = [
            {
                task: part
                for task in benchmark.tasks
                if (part := trained.run.samples.get((task, benchmark.filter))) and benchmark.metric in part.scores
            }
            for trained in trainings
        ]
        if all(scored):
            parts[arm] = scored
        else:
            report.warnings.append(f"{arm} was not scored on {benchmark.name}: not compared there")
    if len(parts) < 2 or report.reference not in parts:
        return None
    flat = [samples for trainings in parts.values() for samples in trainings]
    tasks: list[str] = []
    doc_ids: list[int] = []
    passages: list[str] = []
    columns: list[list[int]] = [[] for _ in flat]
    for task in benchmark.tasks:
        if not all(task in samples for samples in flat):
            report.unpaired.append(Unpaired(task, "not scored in every run"))
            continue
        asked = [samples[task] for samples in flat]
        rows, left_out, prompts = common_questions(asked, task)
        report.unpaired.extend(left_out)
        if prompts:
            report.warnings.append(f"{task}: {prompts} questions were asked with different prompts in different runs")
        for rows_so_far, row in zip(columns, rows, strict=True):
            rows_so_far.extend(row.tolist())
        ids = asked[0].doc_ids[rows[0]].tolist()
        tasks += [task] * len(ids)
        doc_ids += ids
        shared = asked[0].passages
        passages += [f"{task} {i}" if shared is None else shared[row] for i, row in enumerate(rows[0])]
    if not tasks:
        return None
    how = design(_codes(tasks), benchmark.by_size, _codes(passages))
    chosen = iter(columns)
    rows_of = {arm: [next(chosen) for _ in trainings] for arm, trainings in parts.items()}

    def column(arm: str, metric: str) -> Floats | None:
        per_training = [
            _metric(samples, metric, tasks, rows) for samples, rows in zip(parts[arm], rows_of[arm], strict=True)
        ]
        known = [values for values in per_training if values is not None]
        return np.stack(known) if len(known) == len(per_training) else None

    refusals = {arm: values for arm in parts if (values := column(arm, "refusal")) is not None}
    if not refusals and _long_enough(benchmark, report):
        refusals = {
            arm: np.stack([_judge(s, tasks, r) for s, r in zip(parts[arm], rows_of[arm], strict=True)]) for arm in parts
        }
    unanswered = {arm: values for arm in parts if (values := column(arm, "unanswered")) is not None} or refusals
    scores = {arm: values for arm in parts if (values := column(arm, benchmark.metric)) is not None}
    result = Result(benchmark, how, tasks, doc_ids, rows_of, scores, refusals, unanswered, [])
    result.contrasts.extend(_contrast(result, first, second) for first, second in _pairs(scores, report.reference))
    return result


def _metric(samples: dict[str, Samples], metric: str, tasks: list[str], rows: list[int]) -> Floats | None:
    if not all(metric in samples[task].scores for task in set(tasks)):
        return None
    values = np.array([samples[task].scores[metric][row] for task, row in zip(tasks, rows, strict=True)])
    return None if np.isnan(values).any() else values


def _long_enough(benchmark: Benchmark, report: Report) -> bool:
    for trained in [t for trainings in report.arms.values() for t in trainings]:
        for task in benchmark.tasks:
            config = trained.run.configs.get(task, {})
            part = trained.run.samples.get((task, benchmark.filter))
            if part is not None and (
                part.answers is None or (config.get("generation_kwargs") or {}).get("max_gen_toks", 256) < LONG
            ):
                return False
    return True


def _judge(samples: dict[str, Samples], tasks: list[str], rows: list[int]) -> Floats:
    answers = [(samples[task].answers or [])[row] for task, row in zip(tasks, rows, strict=True)]
    return np.array([1.0 if verdict else 0.0 for verdict in refused(answers)])


def _pairs(arms: Iterable[str], reference: str) -> list[tuple[str, str]]:
    """Each arm minus the reference, then each arm trained on fewer rows minus the control."""
    arms = list(arms)
    pairs = [(arm, reference) for arm in arms if arm != reference]
    if "control" in arms and reference != "control":
        pairs += [(arm, "control") for arm in arms if arm not in {"control", "base", reference}]
    return pairs


def _contrast(result: Result, first: str, second: str) -> Contrast:
    x, y = result.scores[first], result.scores[second]
    # One training stands against each of several: its own noise is then in every difference, and said so.
    if len(x) != len(y):
        x, y = (x.mean(axis=0, keepdims=True), y.mean(axis=0, keepdims=True)) if 1 not in (len(x), len(y)) else (x, y)
        x, y = (np.broadcast_to(x, y.shape), y) if len(x) == 1 else (x, np.broadcast_to(y, x.shape))
    differences = x - y
    trainings: Effect | None = None
    if len(differences) > 1:
        effect, trainings = over_seeds(differences, result.design)
    else:
        effect = result.design.effect(differences[0])
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    binary = bool(np.isin(x, (0, 1)).all() and np.isin(y, (0, 1)).all())
    part: float | None = None
    if first in result.unanswered and second in result.unanswered:
        silent = np.maximum(result.unanswered[first].mean(axis=0), result.unanswered[second].mean(axis=0)) > 0
        part = float(result.design.weights @ (differences.mean(axis=0) * silent))
    return Contrast(
        first=first,
        second=second,
        effect=effect,
        relative=relative_change(x.mean(axis=0), y.mean(axis=0), result.design),
        wins=wins,
        losses=losses,
        ties=int(differences.size) - wins - losses,
        mcnemar=mcnemar(wins, losses) if binary and len(differences) == 1 else None,
        holm=float("nan"),
        unanswered=part,
        seeds=tuple(float(d) for d in differences @ result.design.weights),
        trainings=trainings,
    )


def _adjust(results: list[Result]) -> None:
    """Holm over the benchmarks, for each pair of arms by itself; safety groups are no part of the family."""
    pairs = {(c.first, c.second) for result in results for c in result.contrasts}
    for pair in pairs:
        family = [
            (result, i)
            for result in results
            if not result.benchmark.safety
            for i, c in enumerate(result.contrasts)
            if (c.first, c.second) == pair
        ]
        adjusted = holm([result.contrasts[i].effect.p for result, i in family])
        for (result, i), p in zip(family, adjusted, strict=True):
            result.contrasts[i] = replace(result.contrasts[i], holm=p)


def _codes(labels: list[str]) -> Codes:
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.int64)
