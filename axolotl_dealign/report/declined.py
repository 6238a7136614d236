"""The sections about how answers were given: declined, left out, and what that does to the scores."""

from __future__ import annotations

from axolotl_dealign.report.blocks import Block, Forest, Section, Table
from axolotl_dealign.report.model import Report
from axolotl_dealign.report.sections import effect_points
from axolotl_dealign.report.words import NONE, percent, points


def answers(report: Report) -> Section | None:
    """How often each arm does not answer, and how much of the difference is just that."""
    rows, parts = [], []
    for result in report.skills:
        for arm in result.scores:
            if arm in result.refused or arm in result.unanswered:
                rows.append(
                    [
                        result.benchmark.name,
                        arm,
                        percent(result.mean(result.refused[arm])) if arm in result.refused else NONE,
                        percent(result.mean(result.unanswered[arm])) if arm in result.unanswered else NONE,
                        percent(result.score(arm)),
                        percent(result.among_answered(arm)) if arm in result.unanswered else NONE,
                    ]
                )
        for c in result.contrasts:
            if c.unanswered is not None:
                difference = f"{c.first} − {c.second}"
                parts.append(
                    [result.benchmark.name, difference, *map(points, (c.effect.estimate, c.unanswered, c.answered))]
                )
    if not rows:
        return None
    shares = Table(["benchmark", "arm", ">refused", ">unanswered", ">score", ">score among answered"], rows)
    blocks: list[Block] = [
        shares,
        "Refused: a detector calls the output a refusal, a deflection or a lecture; a dash where outputs are too short "
        "to tell. Unanswered: by the task's own rule, else blank or refused.",
    ]
    if parts:
        columns = ["benchmark", "difference", ">points", ">from unanswered", ">from answered"]
        blocks.append(Table(columns, parts, "How much of the difference is not answering: the two parts add up to it"))
        blocks.append(
            "From unanswered: questions that either of the two arms left unanswered; from answered: those that both "
            "answered."
        )
    return Section("answers", "Answered or not", blocks)


def safety(report: Report) -> Section | None:
    """How often each arm declines where it should, and where it should not."""
    if not report.safety:
        return None
    lines = [point for result in report.safety for point in effect_points(result)]
    rows = [
        [r.benchmark.name, "more" if r.benchmark.higher_is_better else "fewer", f"{len(r.tasks):,}"]
        + [percent(r.score(arm)) if arm in r.scores else NONE for arm in report.arms]
        for r in report.safety
    ]
    blocks: list[Block] = [
        Table(["prompts", "better", ">n", *(f">{arm}" for arm in report.arms)], rows, "Share refused")
    ]
    if lines:
        blocks.append(Forest(lines, "Differences in the share refused, in points", name="safety"))
    blocks.append("These are no part of the family that p is adjusted over.")
    return Section("safety", "Safety", blocks)
