"""Results folders -> a `Report`: every arm read, questions paired, effects estimated."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from axolotl_dealign.errors import ConfigError, ResultsError
from axolotl_dealign.registry import did_you_mean
from axolotl_dealign.report.benchmarks import Benchmark, benchmarks, score
from axolotl_dealign.report.contrasts import adjust, contrasts
from axolotl_dealign.report.model import Report, Trained
from axolotl_dealign.report.pairing import pair
from axolotl_dealign.results import read_run
from axolotl_dealign.types import JSON

Source = Path | Mapping[str, Sequence[Path]]


def gather(source: Source, reference: str | None = None) -> Report:
    """Read every arm and compare them.

    Args:
        source: The output folder of `compare`, or arm -> the lm-eval output folders of its trainings.
        reference: The arm that the others are compared with; by default what compare.json says, else `aligned`, or
            the only arm.

    Raises:
        ConfigError: No arm, or no such reference.
        ResultsError: A folder cannot be read, or the arms share no question.
    """
    if isinstance(source, Path):
        arms, manifest = _compare_folder(source)
    else:
        arms, manifest = {arm: [_trained(folder) for folder in folders] for arm, folders in source.items()}, {}
    if not arms:
        raise ConfigError("a report needs arms; give ARM=DIR for each, e.g. aligned=out/a dealigned=out/d")
    reference = reference or manifest.get("reference") or (next(iter(arms)) if len(arms) == 1 else "aligned")
    if reference not in arms:
        raise ConfigError(f"no arm `{reference}` to compare with{did_you_mean(reference, list(arms))}; see --reference")
    _check_folders(arms)
    report = Report(arms, reference, _main(list(arms), reference), [], command=manifest.get("command"))
    for trained in [t for trainings in arms.values() for t in trainings]:
        report.warnings.extend(trained.run.warnings)
    for benchmark in _benchmarks(report):
        result = pair(benchmark, report)
        if result is not None:
            compared = contrasts(result, report.reference)
            (report.results if benchmark.primary else report.others).append(compared)
    if not report.results:
        raise ResultsError(
            f"the arms {', '.join(arms)} were not scored on the same questions, so there is nothing to compare; "
            "run the same --tasks with the same --limit for each"
        )
    _check_tasks(report)
    _check_reported(report)
    skills = adjust(report.skills)
    _check_scores(report)
    return replace(
        report,
        results=[*skills, *report.safety],
        unpaired=list(dict.fromkeys(report.unpaired)),
        warnings=list(dict.fromkeys(report.warnings)),
    )


def _main(arms: list[str], reference: str) -> str | None:
    others = [arm for arm in arms if arm != reference]
    return next((arm for arm in ("dealigned", *others) if arm in others and arm != "base"), next(iter(others), None))


def _compare_folder(folder: Path) -> tuple[dict[str, list[Trained]], JSON]:
    path = folder / "compare.json"
    try:
        manifest: JSON = json.loads(path.read_text(encoding="utf-8"))
        listed = {arm: list(trainings) for arm, trainings in manifest["arms"].items()}
        # By seed, so that trainings of two arms stand as pairs.
        ordered = {
            arm: sorted(trainings, key=lambda entry: entry.get("seed") or 0) for arm, trainings in listed.items()
        }
        return {arm: [_listed(folder, entry) for entry in trainings] for arm, trainings in ordered.items()}, manifest
    except (FileNotFoundError, NotADirectoryError):
        raise ResultsError(f"no compare.json in {folder}; give what `compare` wrote, or ARM=DIR ARM=DIR") from None
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ResultsError(
            f"{path} is not what `compare` writes ({type(error).__name__}: {error}); run `compare` again"
        ) from error


def _listed(folder: Path, entry: JSON) -> Trained:
    def inside(key: str) -> Path | None:
        return folder / entry[key] if entry.get(key) else None

    return Trained(
        read_run(folder / entry["eval"]), entry.get("seed"), inside("audit"), inside("config"), inside("model")
    )


def _trained(folder: Path) -> Trained:
    """A folder named by hand: its audit lies in it, or beside it where the model was scored into its own folder."""
    inside = sorted(folder.rglob("dealign/summary.json")) if folder.is_dir() else []
    beside = [folder.parent / "dealign" / "summary.json"]
    audit = next((path.parent for path in [*inside, *beside] if path.is_file()), None)
    run = read_run(folder)
    model = Path(run.model)
    return Trained(run, audit=audit, model=model if model.is_dir() else None)


def _benchmarks(report: Report) -> list[Benchmark]:
    """The benchmarks of the reference; what only other arms were scored on is named."""
    runs = [trained.run for trainings in report.arms.values() for trained in trainings]
    own = benchmarks(report.arms[report.reference][0].run, runs)
    known = {benchmark.name for benchmark in own}
    for arm, trainings in report.arms.items():
        extra = sorted({b.name for b in benchmarks(trainings[0].run)} - known)
        if extra:
            report.warnings.append(f"{report.reference} was not scored on {', '.join(extra)} as {arm} was: left out")
    return own


def _check_folders(arms: Mapping[str, Sequence[Trained]]) -> None:
    seen: dict[Path, str] = {}
    for arm, trainings in arms.items():
        for folder in (trained.run.folder.resolve() for trained in trainings):
            if folder in seen:
                raise ConfigError(f"{folder} is given twice, for {seen[folder]} and {arm}; give each training its own")
            seen[folder] = arm


def _check_scores(report: Report) -> None:
    """Scores that are no shares, and models that answer so alike that they may be one."""
    for result in report.results:
        if any((scores < 0).any() or (scores > 1).any() for scores in result.scores.values()):
            metric = result.benchmark.metric
            report.warnings.append(
                f"{result.benchmark.name}: {metric} is no share of 1; per cent and points are hundredths of {metric}"
            )
    own = report.arms[report.reference][0].run.samples
    for arm, trainings in report.arms.items():
        samples = trainings[0].run.samples
        texts = [(samples[key].answers, own[key].answers) for key in own if key in samples and own[key].answers]
        if arm != report.reference and texts and all(theirs == ours for theirs, ours in texts):
            report.warnings.append(
                f"{arm} and {report.reference} gave the same answer to every question: was one model scored twice?"
            )


def _check_tasks(report: Report) -> None:
    """Tasks that changed between runs, or were cut short."""
    runs = [t.run for trainings in report.arms.values() for t in trainings]
    for task in dict.fromkeys(task for result in report.results for task in result.benchmark.tasks):
        for key, words in (("versions", "version"), ("n-shot", "number of shots")):
            found = {str(run.settings.get(key, {}).get(task)) for run in runs if task in run.configs}
            if len(found) > 1:
                report.warnings.append(f"{task} was run in more than one {words}: {', '.join(sorted(found))}")
    limits = {str(limit) for run in runs if (limit := (run.settings.get("config") or {}).get("limit")) is not None}
    if limits:
        report.warnings.append(
            f"lm-eval was run with --limit {', '.join(sorted(limits))}: scores are of a part of each task"
        )


def _check_reported(report: Report) -> None:
    """Samples that do not give the score that lm-eval reports are not the samples of that score."""
    for arm, trainings in report.arms.items():
        for trained in trainings:
            for benchmark in [result.benchmark for result in report.results]:
                key = f"{benchmark.metric},{benchmark.filter}"
                reported = trained.run.reported.get(benchmark.name, {}).get(key)
                mean = score(trained.run, benchmark)
                if reported is not None and mean is not None and abs(reported - mean) > 1e-6:
                    report.warnings.append(
                        f"{arm}: lm-eval reports {reported:.4f} for {benchmark.name}, its samples give {mean:.4f}; "
                        "the samples are not those of that score, or lm-eval weights them in another way"
                    )
