"""The `dealign:` block of an Axolotl YAML. Axolotl's own name for such a file.

The block is validated twice: here in `parse` with one readable line an error, and again by Axolotl, which merges
`DealignArgs` into its own schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from axolotl_dealign.errors import ConfigError
from axolotl_dealign.registry import DEFAULT_DETECTOR, did_you_mean
from axolotl_dealign.types import ALIGNED, ARMS, KINDS, Arm, Kind

PRESETS: dict[str, float] = {"strict": 0.8, "balanced": 0.5, "thorough": 0.2}
"""Thresholds on the score of the removed kinds. strict: few real answers lost; thorough: few aligned ones left."""


class Policy(BaseModel):
    """What happens to the aligned answers of a dataset: the keys that `dealign.datasets` may override."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    remove: tuple[Kind, ...] = Field(default=ALIGNED, min_length=1, description="The kinds of answer that are aligned.")
    threshold: float | None = Field(
        default=None, ge=0.2, le=1.0, description="The score of these kinds together from which an answer is aligned."
    )
    preset: Literal["strict", "balanced", "thorough"] | None = Field(
        default=None, description="A name for a threshold, instead of `threshold`. `balanced` is the default."
    )
    on_turn: Literal["drop_row", "truncate", "mask"] = Field(
        default="drop_row",
        description="Conversations: drop the row; cut it before the first aligned turn; or keep the text and train on "
        "nothing of that turn (`chat_template` only).",
    )
    on_chosen: Literal["drop", "swap"] = Field(
        default="drop",
        description="Preference pairs with an aligned `chosen`: drop the pair, or swap it where `rejected` answers.",
    )
    on_desirable: Literal["drop", "flip"] = Field(
        default="drop", description="KTO rows with an aligned answer and label true: drop, or flip the label."
    )
    on_unknown: Literal["stop", "keep"] = Field(
        default="stop", description="Rows without a known answer column: stop, or keep them all, counted `unscored`."
    )
    max_removed: float = Field(
        default=0.5, ge=0.0, le=1.0, description="The brake: stop when more than this share of a dataset would go."
    )

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.threshold is not None and self.preset is not None:
            raise ValueError("`threshold` and `preset` say the same thing; keep one")
        return self

    @property
    def cut(self) -> float:
        """The threshold in force."""
        return self.threshold if self.threshold is not None else PRESETS[self.preset or "balanced"]


class ReportArgs(BaseModel):
    """`dealign.report`: score the model when it is trained, and write a report into `output_dir`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[str, ...] = Field(min_length=1, description="As for `lm_eval run --tasks`.")
    compare_with: tuple[str, ...] = Field(
        default=(), description="`output_dir` of earlier trainings with such a report, to compare with."
    )
    reference: str | None = Field(default=None, description="The arm that the others are compared with.")
    lm_eval_args: str = Field(default="", description="More arguments for `lm_eval run`, as one string.")


class Dealign(Policy):
    """The `dealign:` block. Every key is optional."""

    arm: Arm = Field(
        default="dealigned",
        description="`dealigned` removes aligned answers; `aligned` removes nothing and only counts; `control` removes "
        "as many rows at random.",
    )
    detectors: tuple[str, ...] = Field(
        default=(DEFAULT_DETECTOR,), min_length=1, description="The detectors that look; the highest score counts."
    )
    seed: int = Field(default=42, ge=0, description="Draws the rows of the arm `control`; Axolotl's `seed` does not.")
    keep_file: str | None = Field(
        default=None,
        description="Rows that a person wants kept: a file with a content hash a line. Wins over detectors.",
    )
    remove_file: str | None = Field(
        default=None, description="Rows that a person wants removed: a file with a content hash a line."
    )
    datasets: dict[str, Policy] = Field(
        default={}, description="Other settings for one dataset: its `path` as under `datasets:`, then any key above."
    )
    report: ReportArgs | None = Field(
        default=None,
        description="Score the trained model with lm-eval and report into `output_dir`: `tasks`, and if you like "
        "`compare_with` (`output_dir` of earlier trainings), `reference`, `lm_eval_args` (one string).",
    )
    audit_dir: str | None = Field(
        default=None, description="Where the audit is copied to. Default: `{output_dir}/dealign`."
    )

    @field_validator("arm")
    @classmethod
    def _arm_has_data(cls, arm: Arm) -> Arm:
        if arm == "base":
            raise ValueError("the arm `base` is the untrained model: it is scored, not trained; remove the key")
        if arm == "overrefusal":
            raise ValueError("the arm `overrefusal` needs a prompt judge, and none is registered")
        return arm

    def for_dataset(self, path: str) -> Dealign:
        """These settings with the overrides for one dataset."""
        if path not in self.datasets:
            return self
        override = self.datasets[path].model_dump(exclude_unset=True)
        if {"threshold", "preset"} & override.keys():  # the override of one replaces both
            override = {"threshold": None, "preset": None, **override}
        return self.model_copy(update=override)


class DealignArgs(BaseModel):
    """The key that this plugin adds to Axolotl's configuration."""

    dealign: Dealign | None = None


_CHOICES: dict[str, tuple[str, ...]] = {
    "arm": ARMS,
    "remove": KINDS,
    "preset": tuple(PRESETS),
    "on_turn": ("drop_row", "truncate", "mask"),
    "on_chosen": ("drop", "swap"),
    "on_desirable": ("drop", "flip"),
    "on_unknown": ("stop", "keep"),
}


def parse(block: Any) -> Dealign:
    """Read the `dealign:` block of a YAML.

    Raises:
        ConfigError: One line: which key, what is wrong with it, what was meant.
    """
    if block is None:
        return Dealign()
    if isinstance(block, Dealign):
        return block
    if not isinstance(block, Mapping):
        raise ConfigError(f"dealign: must be a block of keys, not {block!r}; leave it out to use the defaults")
    try:
        return Dealign.model_validate(_without_nulls(block))
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def _without_nulls(block: Mapping[str, Any]) -> dict[str, Any]:
    """Axolotl hands a validated block on with every key it does not set as null."""
    return {
        key: _without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in block.items()
        if value is not None
    }


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    where = ".".join(["dealign", *path])
    if first["type"] == "extra_forbidden":
        blocks: dict[str, type[BaseModel]] = {"datasets": Policy, "report": ReportArgs}
        known = blocks.get(path[0], Dealign).model_fields
        return f"unknown key `{where}`{did_you_mean(path[-1], list(known))}"
    choices = next((_CHOICES[part] for part in reversed(path) if part in _CHOICES), None)
    if first["type"] == "literal_error" and choices:
        return f"{where}: unknown `{first['input']}`{did_you_mean(str(first['input']), choices)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message} (it is {first['input']!r})" if path and path[0] != "datasets" else f"{where}: {message}"
