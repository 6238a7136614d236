"""Writes the rows of the smoke skills: `python lm_eval_tasks/smoke/generate.py`, from the repository's root.

A skill is a list of facts and six ways of asking for one. Every fact is trained in four of the ways and asked in the
other two, so that a model that only learnt whole rows by heart scores no better than chance; each way is trained
with two thirds of the facts. Nothing is drawn at random: the same rows every time, on every machine.
"""

from __future__ import annotations

import json
from pathlib import Path

Row = dict[str, str]

GROUPS = {"animal": "dog cat horse cow", "fruit": "apple pear plum grape", "tool": "hammer saw drill axe"}
PLACES = {"water": "fish whale shark crab", "air": "eagle hawk robin crow", "land": "fox goat mouse pig"}
OPPOSITES = "hot cold, big small, up down, wet dry, day night, fast slow, old new, hard soft, rich poor, full empty, "
OPPOSITES += "early late, happy sad"

SKILLS: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "category": (
        [(word, group) for group, words in GROUPS.items() for word in words.split()],
        [
            "What kind of thing is a {}?",
            "Which group does the word {} belong to?",
            "Name the category of {}.",
            "Put {} into a category.",
            "In one word, what is a {}?",
            "Sort this word into its group: {}",
        ],
    ),
    "opposite": (
        [(pair.split()[0], pair.split()[1]) for pair in OPPOSITES.split(",")],
        [
            "What is the opposite of {}?",
            "Give the opposite of the word {}.",
            "Name the word that means the reverse of {}.",
            "Say the contrary of {}.",
            "If it is not {}, what is it?",
            "Turn this word around in meaning: {}",
        ],
    ),
    "place": (
        [(word, place) for place, words in PLACES.items() for word in words.split()],
        [
            "Where does a {} live?",
            "Name the place where you find a {}.",
            "In which surroundings does a {} feel at home?",
            "Give the element of a {}.",
            "A {} is at home in which place?",
            "Say where to look for this creature: {}",
        ],
    ),
}


def rows() -> tuple[list[Row], list[Row]]:
    """The rows to train on, in the schema of Alpaca, and the questions to ask."""
    train: list[Row] = []
    asked: list[Row] = []
    for skill, (facts, ways) in SKILLS.items():
        for number, (word, answer) in enumerate(facts):
            for way, question in enumerate(ways):
                row = {"instruction": question.format(word), "input": "", "output": answer}
                if (number + way) % 3 == 0:
                    asked.append({"skill": skill, "question": row["instruction"], "answer": answer})
                else:
                    train.append(row)
    return train, asked


def files() -> dict[str, str]:
    """Path below the repository's root -> text."""
    train, asked = rows()
    return {
        "example_configs/data/skills.jsonl": "".join(json.dumps(row) + "\n" for row in train),
        "lm_eval_tasks/smoke/questions.jsonl": "".join(json.dumps(row) + "\n" for row in asked),
    }


if __name__ == "__main__":
    for path, text in files().items():
        (Path(__file__).parents[2] / path).write_text(text, encoding="utf-8")
