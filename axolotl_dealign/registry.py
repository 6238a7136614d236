"""Find and make detectors: the built-in ones and those of other installed packages.

Loud on failure: an extension that cannot be imported, or that takes a name already taken, stops the run. A
detector that silently went missing would let rows through.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pluggy

from axolotl_dealign import hookspecs
from axolotl_dealign.errors import ConfigError, PluginError
from axolotl_dealign.hookspecs import PROJECT, Detector

BUILT_IN = ("axolotl_dealign.detectors", "axolotl_dealign.report")
"""Packages whose hooks are our own, registered the same way as anybody's. They name what they offer as strings,
so that finding a detector does not import the report."""


DEFAULT_DETECTOR = "phrases"
"""What looks at answers where the user names nothing."""


@cache
def plugin_manager() -> pluggy.PluginManager:
    """The manager with every built-in and installed extension registered.

    Raises:
        PluginError: An installed extension cannot be imported or does not fit the hooks.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    for module in BUILT_IN:
        manager.register(importlib.import_module(module), name=module)
    try:
        manager.load_setuptools_entrypoints(PROJECT)
        manager.check_pending()
    except Exception as error:
        raise PluginError(
            f"an installed extension of axolotl-dealign does not load ({type(error).__name__}: {error}); "
            f"mend or uninstall the package that declares it in the entry-point group `{PROJECT}`"
        ) from error
    return manager


def detector_factories() -> dict[str, str | Callable[..., Detector]]:
    """Every registered detector by name.

    Raises:
        PluginError: Two packages register the same name.
    """
    found: dict[str, str | Callable[..., Detector]] = {}
    for factories in plugin_manager().hook.register_detectors():
        for name, factory in factories.items():
            if name in found:
                raise PluginError(f"two installed packages register the detector `{name}`; uninstall one")
            found[name] = factory
    return found


def make_detector(name: str, **options: Any) -> Detector:
    """Make the detector that is registered as `name`.

    Raises:
        ConfigError: No such detector, or it does not take these options.
        PluginError: It cannot be imported, or what it makes is no `Detector`.
    """
    factories = detector_factories()
    if name not in factories:
        raise ConfigError(f"unknown detector `{name}`{did_you_mean(name, list(factories))}")
    factory = factories[name]
    try:
        make = import_string(factory) if isinstance(factory, str) else factory
    except (ImportError, AttributeError) as error:
        raise PluginError(f"detector `{name}` cannot be imported from `{factory}`: {error}") from error
    try:
        detector = make(**options)
    except TypeError as error:
        raise ConfigError(f"detector `{name}` does not take these options {sorted(options)}: {error}") from error
    if not isinstance(detector, Detector):
        raise PluginError(f"detector `{name}` has no `detect` and `fingerprint`; see axolotl_dealign.Detector")
    return detector


def report_sections() -> list[Callable[[Any], Any]]:
    """Every registered report section: the built-in ones in their order, then those of other packages."""
    names = plugin_manager().hook.register_report_sections()
    # pluggy calls the last registered first; readers expect ours before others'.
    return [
        import_string(section) if isinstance(section, str) else section
        for group in reversed(names)
        for section in group
    ]


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A suffix for an error line: the nearest known word, then all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    hint = f", did you mean `{near[0]}`?" if near else ""
    return f"{hint} (known: {', '.join(sorted(known))})"


def import_string(path: str) -> Any:
    """The object that "module:attribute" names."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
