"""The `dealign:` block of an Axolotl YAML. Axolotl's own name for such a file.

The block is validated twice: here in `parse` with one readable line an error, and again by Axolotl, which merges
`DealignArgs` into its own schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from axolotl_dealign.errors import ConfigError
from axolotl_dealign.registry import DEFAULT_DETECTOR, did_you_mean
from axolotl_dealign.types import ALIGNED, ARMS, KINDS, Arm, Kind

PRESETS: dict[str, float] = {"strict": 0.8, "balanced": 0.5, "thorough": 0.2}
"""Thresholds on the score of the removed kinds. strict: few real answers lost; thorough: few aligned ones left."""


class Dealign(BaseModel):
    """What happens to aligned answers. Every key is optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arm: Arm = Field(
        default="dealigned",
        description="`dealigned` removes aligned answers; `aligned` removes nothing and only counts; `control` removes "
        "as many rows at random.",
    )
    remove: tuple[Kind, ...] = Field(default=ALIGNED, min_length=1, description="The kinds of answer that are removed.")
    threshold: float | None = Field(
        default=None, ge=0.2, le=1.0, description="The score of the removed kinds from which an answer counts (0.2-1)."
    )
    preset: Literal["strict", "balanced", "thorough"] | None = Field(
        default=None, description="A name for a threshold, instead of `threshold`. `balanced` is the default."
    )
    detectors: tuple[str, ...] = Field(
        default=(DEFAULT_DETECTOR,), min_length=1, description="The detectors that look; the highest score counts."
    )
    seed: int = Field(default=42, ge=0, description="Draws the rows of the arm `control`; Axolotl's `seed` does not.")
    max_removed: float = Field(
        default=0.5, ge=0.0, le=1.0, description="The brake: stop when more than this share of a dataset would go."
    )
    on_unknown: Literal["stop", "keep"] = Field(
        default="stop", description="Rows without a known answer column: stop, or keep them all, counted `unscored`."
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

    @model_validator(mode="after")
    def _one_threshold(self) -> Dealign:
        if self.threshold is not None and self.preset is not None:
            raise ValueError("`threshold` and `preset` say the same thing; keep one")
        return self

    @property
    def cut(self) -> float:
        """The threshold in force."""
        return self.threshold if self.threshold is not None else PRESETS[self.preset or "balanced"]


class DealignArgs(BaseModel):
    """The key that this plugin adds to Axolotl's configuration."""

    dealign: Dealign | None = None


_CHOICES: dict[str, tuple[str, ...]] = {"arm": ARMS, "remove": KINDS, "preset": tuple(PRESETS)}


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
        return Dealign.model_validate({key: value for key, value in block.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        where = f"dealign.{key}" if key else "dealign"
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"unknown key `{where}`{did_you_mean(key, list(Dealign.model_fields))}") from None
        if first["type"] == "literal_error" and key.split(".")[0] in _CHOICES:
            hint = did_you_mean(str(first["input"]), _CHOICES[key.split(".")[0]])
            raise ConfigError(f"{where}: unknown `{first['input']}`{hint}") from None
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {message} (it is {first['input']!r})" if key else f"{where}: {message}") from None
