"""The built-in sections about scores, each a function of the report."""

from __future__ import annotations

import numpy as np

from axolotl_dealign.report.blocks import Block, Forest, Point, Section, Table
from axolotl_dealign.report.data import contrast_data, result_data
from axolotl_dealign.report.model import Contrast, Report, Result
from axolotl_dealign.report.summary import overall_effect, shown
from axolotl_dealign.report.words import NONE, count, interval, listed, p_value, percent, points, with_interval

PAPER = "The Poison of Alignment (arXiv 2308.13449)"


def benchmarks(report: Report) -> Section:
    """The differences with their intervals, every benchmark on one scale; then each in numbers."""
    blocks: list[Block] = []
    points_ = [point for result in report.skills for point in effect_points(result)]
    if len(report.skills) > 1:
        for first, second in _pairs(report):
            effect = overall_effect(report, first, second)
            if effect is not None:
                points_.append(Point("mean of the benchmarks", f"{first} − {second}", effect))
    if points_:
        blocks.append(Forest(points_, f"Differences in points of {_metrics(report)}, 95 % intervals", name="forest"))
        blocks.append(_details(report.skills))
        blocks.append(
            "Every arm was asked the same questions. p is adjusted over the benchmarks by Holm, for each pair of arms; "
            "McNemar's exact test ignores that questions of one subtask hang together. Smallest seen: the true "
            "difference that would be found four times in five."
        )
    if not report.skills:
        blocks.append("Nothing here asks whether answers are right.")
    blocks += [_method(result, report) for result in report.skills]
    if report.others:
        blocks.append(_others(report))
    return Section(
        "benchmarks",
        "Benchmarks",
        blocks,
        {"results": [result_data(r) for r in report.results], "others": [result_data(r) for r in report.others]},
    )


def control(report: Report) -> Section | None:
    """Did removing aligned rows do more than removing as many rows at random?"""
    rows, data, sentences = [], [], []
    for result in report.skills:
        compared = [c for c in result.contrasts if c.second == "control"]
        for contrast in compared:
            rows.append(
                [
                    result.benchmark.name,
                    *(
                        _against(result, contrast.first, report.reference),
                        _against(result, "control", report.reference),
                    ),
                    with_interval(contrast.effect),
                    p_value(contrast.holm),
                ]
            )
            data.append({"benchmark": result.benchmark.name, **contrast_data(contrast)})
            sentences.append(f"{result.benchmark.name}: {_more(result, contrast)}")
    if not rows:
        return None
    arm, reference = report.main or "", report.reference
    columns = ["benchmark", f">{arm} − {reference}", f">control − {reference}", f">{arm} − control", ">p (Holm)"]
    text = (
        "The control arm lost as many rows as were removed, drawn at random: it tells removing refusals from training "
        "on fewer rows."
    )
    return Section("control", "Was it the refusals?", [text, Table(columns, rows), *sentences], {"contrasts": data})


def subtasks(report: Report) -> Section | None:
    """The main difference on each subtask: where to look, not a finding."""
    blocks: list[Block] = []
    for result in report.skills:
        found = [
            (task, c)
            for task, contrasts in result.subtasks.items()
            for c in contrasts
            if (c.first, c.second) == (report.main, report.reference)
        ]
        if found:
            found.sort(key=lambda pair: -pair[1].effect.estimate)
            prefix = f"{result.benchmark.name}_"
            lines = [
                Point(task.removeprefix(prefix), f"{c.first} − {c.second}", c.effect, cells=_scores(result, task, c))
                for task, c in found
            ]
            caption = f"{result.benchmark.name}: {report.main} − {report.reference} in points, 95 % intervals"
            columns = ["n", f"{report.main}, %", f"{report.reference}, %"]
            blocks.append(Forest(lines, caption, columns, f"subtasks-{len(blocks) + 1}"))
    if not blocks:
        return None
    text = (
        "Each subtask by itself, without correction for looking at many: of twenty subtasks without any difference one "
        "interval lies off zero."
    )
    return Section("subtasks", "Subtasks", [text, *blocks])


def trainings(report: Report) -> Section | None:
    """What training again changes."""
    rows = []
    for result in report.results:
        for c in result.contrasts:
            if c.trainings is not None:
                each = ", ".join(points(d) for d in c.seeds) or NONE
                spread = points(float(np.std(c.seeds, ddof=1))).lstrip("+") if len(c.seeds) > 1 else NONE
                rows.append(
                    [
                        result.benchmark.name,
                        f"{c.first} − {c.second}",
                        each,
                        spread,
                        with_interval(c.effect),
                        interval(c.trainings),
                    ]
                )
    if not rows:
        return None
    columns = ["benchmark", "difference", "each training", ">spread (SD)", ">estimate (95 %)", ">same questions only"]
    text = (
        "The estimate's interval holds for new questions and new trainings; the last one for new trainings on the same "
        "questions. Trainings are compared in pairs where both arms have the same number of them."
    )
    return Section("trainings", "Trained again", [Table(columns, rows), text])


def paper(report: Report) -> Section | None:
    """The paper's claim beside the measured one."""
    first, second = "dealigned", "aligned"
    rows = []
    for result in report.skills:
        c = result.contrast(first, second)
        if c is not None:
            rows.append([result.benchmark.name, with_interval(c.relative)])
    if not rows:
        return None
    known = {"poa_mmlu", "poa_bbh", "poa_drop", "poa_humaneval"}
    same = [r.benchmark.name for r in report.skills if r.benchmark.name in known]
    others = [r.benchmark.name for r in report.skills if r.benchmark.name not in known]
    tasks = f"{listed(same)} ask and score as the paper's evaluation did. " if same else ""
    tasks += f"The paper did not use {listed(others)}. " if others else ""
    claim = (
        f"{PAPER} reports that its aligned model scores 4 to 33 % lower than the dealigned one, relative to the "
        "dealigned, on MMLU, BBH, HumanEval and DROP. That is the paper's figure, not measured here."
    )
    limits = (
        "Comparable is the formula, (dealigned − aligned) / dealigned. Not comparable: the base model (LLaMA 2 7B "
        "there), the data (about a third of theirs was aligned answers), and the certainty: the paper gives one "
        "training and no interval."
    )
    table = Table(["benchmark", ">measured here, % (95 %)"], rows)
    return Section("paper", "The paper's claim", [claim, table, tasks + limits])


def warnings(report: Report) -> Section | None:
    """What a reader of the numbers must know, and every question that was left out."""
    left_out = [
        f"{u.task}: {count(len(u.doc_ids), 'question') if u.doc_ids else 'all questions'} left out, {u.reason}"
        for u in report.unpaired
    ]
    lines = [*report.warnings, *left_out]
    if not lines:
        return None
    unpaired = [{"task": u.task, "reason": u.reason, "doc_ids": list(u.doc_ids)} for u in report.unpaired]
    data = {"warnings": report.warnings, "unpaired": unpaired}
    return Section("warnings", "Warnings", [Table(["what"], [[line] for line in lines])], data)


def effect_points(result: Result) -> list[Point]:
    """Rows of a forest plot: the differences of one benchmark, without the untrained model's."""
    # The untrained model is a table's matter: next to it every other difference would look like none.
    name = result.benchmark.name
    return [
        Point(name, f"{c.first} − {c.second}", c.effect, p_value(c.effect.p if result.benchmark.safety else c.holm))
        for c in result.contrasts
        if c.first != "base"
    ]


def _scores(result: Result, task: str, contrast: Contrast) -> list[str]:
    """How many questions a subtask has, and what both arms score on it."""
    chosen = np.array(result.tasks) == task
    arms = (float(result.scores[arm][:, chosen].mean()) for arm in (contrast.first, contrast.second))
    return [f"{int(chosen.sum()):,}", *(f"{100 * score:.1f}" for score in arms)]


def _pairs(report: Report) -> list[tuple[str, str]]:
    return list(dict.fromkeys((c.first, c.second) for r in report.skills for c in r.contrasts if c.first != "base"))


def _details(results: list[Result]) -> Table:
    rows = []
    for result in results:
        for c in result.contrasts:
            rows.append(
                [
                    result.benchmark.name,
                    f"{c.first} − {c.second}",
                    with_interval(c.effect),
                    with_interval(c.relative),
                    f"{c.wins:,} / {c.losses:,} / {c.ties:,}",
                    p_value(c.holm),
                    p_value(c.mcnemar),
                    points(c.effect.smallest_seen).lstrip("+"),
                ]
            )
    columns = ["benchmark", "difference", ">points (95 %)", ">relative, % (95 %)", ">wins / losses / ties"]
    return Table([*columns, ">p (Holm)", ">p (McNemar)", ">smallest seen"], rows, "Each difference in numbers")


def _method(result: Result, report: Report) -> str:
    """What is averaged, over what the interval is, and the bootstrap's beside it."""
    b, n, groups = result.benchmark, len(result.tasks), len(set(result.tasks))
    mean = f"mean over {count(n, 'question')}" if b.by_size else f"mean over {count(groups, 'subtask')}"
    intervals = {
        "questions": "each question by itself",
        "clusters": f"{count(result.design.groups, 'cluster')} of questions that hang together (jackknife)",
        "strata": f"these {count(result.design.groups, 'subtask')}, and no others",
    }
    filtered = "" if b.filter == "none" else f", filter {b.filter}"
    text = f"{b.name}: {b.metric}{filtered}, {mean}; interval over {intervals[result.design.method]}"
    c = result.contrast(report.main, report.reference) if report.main else None
    if c is not None and c.bootstrap is not None:
        low, high = map(points, c.bootstrap)
        text += f"; drawing whole clusters instead (bootstrap) gives {low} to {high} for {c.first} − {c.second}"
    return f"{text}."


def _others(report: Report) -> Table:
    rows = []
    for result in report.others:
        c = result.contrast(report.main, report.reference) if report.main else None
        rows.append(
            [result.benchmark.name, result.benchmark.metric, result.benchmark.filter]
            + [percent(result.score(arm)) if arm in result.scores else NONE for arm in report.arms]
            + ([with_interval(c.effect) if c else NONE] if report.main else [])
        )
    difference = [f">{report.main} − {report.reference} (95 %)"] if report.main else []
    columns = ["benchmark", "metric", "filter", *(f">{arm}" for arm in report.arms), *difference]
    return Table(columns, rows, "The same benchmarks by their other metrics; no test is made of these")


def _metrics(report: Report) -> str:
    return listed(sorted({result.benchmark.metric for result in report.skills}))


def _against(result: Result, first: str, second: str) -> str:
    contrast = result.contrast(first, second)
    return NONE if contrast is None else with_interval(contrast.effect)


def _more(result: Result, contrast: Contrast) -> str:
    words = {
        1: f"removing refusals ({contrast.first}) did more than removing as many rows at random.",
        -1: f"removing as many rows at random did more than removing refusals ({contrast.first}).",
        0: f"the data do not tell {contrast.first} from removing as many rows at random.",
    }
    return words[shown(result, contrast)]
