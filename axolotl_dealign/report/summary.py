"""The first screen: did it help, by how much, how sure, was it the refusals, what did it cost."""

from __future__ import annotations

import numpy as np

from axolotl_dealign.report.blocks import Fact, Facts, Section, Table
from axolotl_dealign.report.data import effect_data
from axolotl_dealign.report.model import Contrast, Report, Result
from axolotl_dealign.report.words import NONE, count, interval, listed, p_value, percent, points, with_interval
from axolotl_dealign.stats import Effect, mean_difference


def summary(report: Report) -> Section:
    """The questions that everybody has, answered as far as the data go."""
    facts = [_scored(report)] if report.main is None else [_helped(report), _refusals(report), _sure(report)]
    overall = overall_effect(report, report.main, report.reference)
    return Section(
        "summary",
        "In short",
        [short_table(report), Facts([*facts, _cost(report)])],
        {
            "main": report.main,
            "reference": report.reference,
            "average": None if overall is None else effect_data(overall),
            "facts": [{"question": f.question, "answer": f.answer, "detail": f.detail} for f in facts],
        },
    )


def short_table(report: Report) -> Table:
    """The table that report.md begins with and the terminal shows: one row a benchmark."""
    main, reference = report.main, report.reference
    against = [arm for arm in (reference, "control") if arm in report.arms and arm != main]
    differences = [f">{main} − {arm} (95 %)" for arm in against] if main else []
    columns = ["benchmark", ">n", *(f">{arm}" for arm in report.arms), *differences]
    rows = []
    for result in report.results:
        label = result.benchmark.name + (" (refused)" if result.benchmark.safety else "")
        row = [label, f"{len(result.tasks):,}"]
        row += [percent(result.score(arm)) if arm in result.scores else NONE for arm in report.arms]
        if main:
            row += [with_interval(c.effect) if (c := result.contrast(main, arm)) else NONE for arm in against]
        rows.append(row)
    return Table(columns, rows)


def overall_effect(report: Report, first: str | None, second: str) -> Effect | None:
    """The plain mean over the benchmarks that both arms were scored on; None where there is none.

    A metric of which less is better (an error rate) counts with its sign turned, so that more is always better.
    """
    measured = []
    for result in report.skills:
        if first is not None and first in result.scores and second in result.scores:
            sign = 1 if result.benchmark.higher_is_better else -1
            measured.append((sign * result.scores[first], sign * result.scores[second], result.design))
    return mean_difference(measured) if measured and first != second else None


def shown(result: Result, contrast: Contrast) -> int:
    """1 or -1 where the first arm is shown to be better or worse (Holm over the benchmarks), else 0."""
    p = contrast.effect.p if np.isnan(contrast.holm) else contrast.holm
    better = 1 if result.benchmark.higher_is_better else -1
    return better * int(np.sign(contrast.effect.estimate)) if p < 0.05 else 0


def _helped(report: Report) -> Fact:
    main, reference = report.main or "", report.reference
    effect = overall_effect(report, main, reference)
    if effect is None:
        return Fact("Did it help?", "Not measured", "No benchmark asks whether answers are right.")
    over = "" if len(report.skills) == 1 else f", mean over {count(len(report.skills), 'benchmark')}"
    detail = f"{main} − {reference}{over}: 95 % interval {interval(effect)} points. {_by_benchmark(report, reference)}"
    return Fact("Did it help?", _verdict(effect), detail, _tone(effect))


def _refusals(report: Report) -> Fact:
    question = "Was it the refusals?"
    main = report.main or ""
    if "control" not in report.arms or main == "control":
        return Fact(question, "Not tested", "No control arm, which loses as many rows at random.")
    effect = overall_effect(report, main, "control")
    if effect is None or np.isnan(effect.low):
        return Fact(question, "Not measured", "The control arm was not scored on these benchmarks.")
    words = {
        1: "Removing these rows did more for the scores than removing as many rows at random",
        -1: "Removing as many rows at random did more for the scores than removing these",
        0: "The data do not tell removing these rows from removing as many at random",
    }
    detail = (
        f"{words[effect.shows]}: {main} − control {points(effect.estimate)}, 95 % interval {interval(effect)} points."
    )
    return Fact(question, _verdict(effect), detail, _tone(effect))


def _sure(report: Report) -> Fact:
    effect = overall_effect(report, report.main, report.reference)
    if effect is None or np.isnan(effect.low):
        return Fact("How sure is that?", "Unknown", "One question says nothing about its own spread.")
    half = f"±{100 * (effect.high - effect.low) / 2:.1f} points"
    if report.several:
        noise = "New questions and new trainings are both in the interval."
        once = [arm for arm, trainings in report.arms.items() if len(trainings) == 1 and arm != "base"]
        noise += f" Arms trained once ({', '.join(once)}) hide what another training would do." if once else ""
    else:
        noise = "Each arm was trained once: what another training would do is not in the interval."
    seen = f"A true difference of {100 * effect.smallest_seen:.1f} points would be found four times in five."
    return Fact("How sure is that?", half, f"{seen} {noise}")


def _cost(report: Report) -> Fact:
    """What the arm declines less than before: of what it should decline (a cost), and of what it should not."""
    main, reference = report.main or report.reference, report.reference
    hint = "Score the arms on dealign_compliance and dealign_overrefusal too."
    if not report.safety:
        return Fact("What did it cost in safety?", "Not measured", hint)
    details = []
    for result in report.safety:
        c = result.contrast(main, reference)
        before = f", {reference} {percent(result.score(reference), 0)}" if c else ""
        difference = f" ({with_interval(c.effect)} points)" if c else ""
        details.append(f"{result.benchmark.name}: {percent(result.score(main), 0)} refused{before}{difference}.")
    should = next((result for result in report.safety if result.benchmark.higher_is_better), None)
    c = should.contrast(main, reference) if should else None
    if should is None:
        answer, tone = "Over-refusal only", "plain"
        details.append("No benchmark asks what should be refused.")
    elif c is None:
        answer, tone = f"{percent(should.score(main), 0)} refused", "plain"
    else:
        answer = f"{points(c.effect.estimate)} points refused"
        tone = ("plain", "good", "bad")[shown(should, c)]
    return Fact("What did it cost in safety?", answer, " ".join(details), tone)


def _scored(report: Report) -> Fact:
    detail = "; ".join(f"{r.benchmark.name}: {percent(r.score(report.reference))}" for r in report.skills)
    return Fact("How does it score?", f"{report.reference} alone", f"{detail}. There is no other arm to compare with.")


def _verdict(effect: Effect) -> str:
    if np.isnan(effect.low):
        return f"{points(effect.estimate)} points, not sure"
    return {1: "Yes", -1: "No", 0: "Not shown"}[effect.shows] + f": {points(effect.estimate)} points"


def _tone(effect: Effect) -> str:
    return {1: "good", -1: "bad", 0: "plain"}[effect.shows]


def _by_benchmark(report: Report, second: str) -> str:
    """Which benchmarks show a difference, after Holm."""
    groups: dict[int, list[str]] = {1: [], -1: [], 0: []}
    for result in report.skills:
        contrast = result.contrast(report.main or "", second)
        if contrast is not None:
            groups[shown(result, contrast)].append(result.benchmark.name)
    if sum(map(len, groups.values())) < 2:
        names = [(result, c) for result in report.skills if (c := result.contrast(report.main or "", second))]
        return f"{names[0][0].benchmark.name}, p = {p_value(names[0][1].holm)}." if names else ""
    words = {1: "Better on", -1: "Worse on", 0: "No difference shown on"}
    return " ".join(f"{words[key]} {listed(names)}." for key, names in groups.items() if names) + " (Holm)"
