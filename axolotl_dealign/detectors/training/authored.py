"""Put answers together from the hand-written sentences in `authored/`: the same seed gives the same rows."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "authored"
LANGUAGES = tuple(sorted(path.stem for path in FOLDER.glob("??.yml")))
SHARES = {
    "refusal": 0.34,
    "deflection": 0.08,
    "moralizing": 0.12,
    "incapable": 0.08,
    "hedged": 0.18,
    "answered": 0.20,
}
Row = dict[str, Any]


def compose(language: str, count: int, seed: int = 0) -> list[Row]:
    """Rows of one language.

    Args:
        language: One of `LANGUAGES`.
        count: Rows put together from parts, in the shares above; the whole answers of the file come on top.
        seed: Draws the parts.

    Returns:
        Rows with `language`, `kind`, `prompt` (None where the answer stands alone), `response`, `core` (the sentence
        that makes the answer what it is: rows that share it must not be split between training and test) and,
        where it is only the prompt that makes the answer what it is, `needs_prompt`.
    """
    parts = yaml.load(
        (FOLDER / f"{language}.yml").read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    writer = _Writer(parts, random.Random(f"{language}-{seed}"))
    rows = [_row(language, kind, None, text, text) for kind, texts in parts["alone"].items() for text in texts]
    rows += [_row(language, kind, prompt, text, text) for prompt, kind, text in parts["pairs"]]
    for kind, share in SHARES.items():
        for _ in range(round(count * share)):
            text = getattr(writer, kind)()
            rows.append(_row(language, kind, writer.asked(), text, writer.core))
    # Asked to refuse: the very same words are then an answer.
    for _ in range(round(count * 0.12)):
        text = writer.declined()
        rows.append(_row(language, "answered", writer.one("declines"), text, writer.core) | {"needs_prompt": True})
    return list({(row["prompt"], row["response"]): row for row in rows}.values())


def _read(name: str) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with it
    content: dict[str, Any] = yaml.load((FOLDER / name).read_text("utf-8"), loader)
    return content


def _row(language: str, kind: str, prompt: str | None, response: str, core: str) -> Row:
    return {"language": language, "kind": kind, "prompt": prompt, "response": response, "core": core}


class _Writer:
    """One method a kind; each call is another draw."""

    def __init__(self, parts: Mapping[str, Any], draw: random.Random) -> None:
        self.parts, self.draw, self.core = parts, draw, ""
        self.blank = "" if parts["language"] in ("zh", "ja") else " "

    def refusal(self) -> str:
        first = self._after(self.one("opener"), self.one("refuse"))
        rest = [self.one(name) for name in ("reason", "reason", "redirect", "close") if self._chance(0.45)]
        if self._chance(0.12):  # the point comes last
            rest, first = [first], self._join([self.one("reason"), self.one("moralize"), *rest])
        if self._chance(0.08):
            rest = [self._after(self.one("opener"), self.one("refuse")), *rest]
        text = self._join([first, *rest])
        if self._chance(0.08):  # other things are offered, as a list
            text += "\n\n" + "\n".join(f"{i}. {self.one('redirect')}" for i in range(1, self.draw.randint(3, 5)))
        if self._chance(0.05):  # two voices, and neither serves
            return self._voices(text, self._join([self.one("moralize"), self.one("redirect")]))
        return self._named(text)

    def deflection(self) -> str:
        return self._named(self._join([self.one("deflect"), *self._some("deflect", 0.4), *self._some("close", 0.25)]))

    def moralizing(self) -> str:
        rest = [*self._some("moralize", 0.5), *self._some("reason", 0.3), *self._some("redirect", 0.5)]
        return self._named(self._join([self.one("moralize"), *rest, *self._some("close", 0.1)]))

    def incapable(self) -> str:
        first = self.one("incapable")
        if self._chance(0.35):
            first = self._after(self.draw.choice(self.parts["opener"][:8]), first)
        return self._named(self._join([first, *self._some("incapable", 0.2), *self._some("close", 0.3)]))

    def hedged(self) -> str:
        body = self._bodies()
        pick = self.draw.random()
        if pick < 0.5:
            return self._named(self._join([self._after(self.one("disclaim"), self.one("turn"))]) + self._gap() + body)
        if pick < 0.75:
            refused = self._after(self.one("opener"), self.one("refuse"))
            return refused + self.blank + self._upper(self.one("turn")) + self._gap() + body
        if pick < 0.87:
            return self._join([self.one("deflect"), self._upper(self.one("turn"))]) + self._gap() + body
        return self._voices(self._join([self.one("refuse"), *self._some("reason", 0.5)]), body)

    def answered(self) -> str:
        body = self._bodies()
        extra = [*self._some("redirect", 0.15), *self._some("close", 0.3)]
        if self._chance(0.2):
            body = self._upper(self.one("turn")) + self._gap() + body
        return self._named(body + (self._gap() + self._join(extra) if extra else ""))

    def asked(self) -> str | None:
        """The request in front of an answer, in half of the rows."""
        return self.one("asks") if self._chance(0.5) else None

    def declined(self) -> str:
        """What somebody writes who was asked to word a refusal."""
        text = self._after(self.draw.choice(self.parts["opener"][:8]), self.one("refuse"))
        return text if self._chance(0.6) else self._join([text, self.one("reason")])

    def one(self, name: str) -> str:
        text: str = self.draw.choice(self.parts[name])
        if name in ("refuse", "deflect", "moralize", "incapable", "disclaim", "bodies", "declines"):
            self.core = text
        for slot, fillings in self.parts["slots"].items():
            while "{" + slot + "}" in text:
                text = text.replace("{" + slot + "}", self.draw.choice(fillings), 1)
        return text

    def _some(self, name: str, chance: float) -> list[str]:
        return [self.one(name)] if self._chance(chance) else []

    def _bodies(self) -> str:
        bodies = self.draw.sample(self.parts["bodies"], self.draw.choice([1, 1, 1, 2, 3]))
        self.core = bodies[0]
        return "\n\n".join(bodies)

    def _after(self, opener: str, sentence: str) -> str:
        """A sentence behind an opener, which may be empty or a sentence of its own."""
        if not opener or opener[-1] in ".。！!":
            return self._join([opener, sentence]) if opener else self._upper(sentence)
        return self._upper(opener) + ("" if opener[-1] in "，、" else self.blank) + sentence

    def _join(self, sentences: list[str]) -> str:
        return self.blank.join(self._upper(sentence) for sentence in sentences if sentence)

    def _named(self, text: str) -> str:
        """Now and then a role in front, or small letters throughout, as data has them."""
        if self._chance(0.04):
            return self.draw.choice(["Assistant: ", "AI: ", "[GPT] ", "Bot: ", "Luna: ", "*smiles* "]) + text
        return text.lower() if self._chance(0.04) else text

    def _voices(self, one: str, other: str) -> str:
        first, second = self.draw.choice(
            [("[A]: ", "[B]: "), ("Normal: ", "Free: "), ("(1) ", "(2) "), ("Max: ", "Eva: ")]
        )
        return f"{first}{one}\n\n{second}{other}"

    def _gap(self) -> str:
        return self.draw.choice([self.blank, "\n\n", "\n"])

    def _chance(self, share: float) -> bool:
        return self.draw.random() < share

    @staticmethod
    def _upper(text: str) -> str:
        return text[:1].upper() + text[1:]
