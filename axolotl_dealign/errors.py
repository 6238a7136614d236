"""The error tree.

    DealignError                 anything this package stops for; the CLI exits with 1
    ├── ConfigError              a setting is wrong (YAML block, flag, arm, detector name); the CLI exits with 2
    ├── SchemaError              rows have columns that no known row format explains
    ├── TooManyRemovedError      more than `max_removed` of a dataset would go
    ├── PluginError              an installed extension cannot be loaded or breaks its contract
    ├── AxolotlError             the installed Axolotl does not have the shape the plugin wraps
    ├── ResultsError             an lm-eval output folder cannot be read or paired
    └── StepError                a subprocess (axolotl, lm_eval) failed

Every message is one line: what is wrong, where (file, dataset, row), how to mend it.
"""

from __future__ import annotations


class DealignError(Exception):
    """Base of every error raised on purpose by this package."""

    exit_code = 1


class ConfigError(DealignError):
    """A setting is unknown, misspelt or contradicts another."""

    exit_code = 2


class SchemaError(DealignError):
    """The rows have no column in which an answer is known to stand."""


class TooManyRemovedError(DealignError):
    """The brake: more than `max_removed` of a dataset would be removed."""


class PluginError(DealignError):
    """An extension found by entry point cannot be loaded or breaks its contract."""


class AxolotlError(DealignError):
    """The installed Axolotl lacks a function, or a parameter of one, that the plugin wraps."""


class ResultsError(DealignError):
    """An lm-eval output folder is missing, incomplete or does not match the others."""


class StepError(DealignError):
    """A step run as a subprocess ended with a non-zero exit code."""
