"""`axolotl-dealign check CONFIG`: will this config be trained with the plugin?"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from axolotl_dealign.config import PLUGIN, check_config, named_in, read_config
from axolotl_dealign.errors import AxolotlError, ConfigError
from axolotl_dealign.watch import Watch


def check_file(path: Path) -> str:
    """Make sure that `axolotl train` on a config will run with the plugin.

    Returns:
        One line that says what was checked.

    Raises:
        ConfigError: The plugin line is missing or misspelt, or the block is wrong.
        AxolotlError: Axolotl is missing or does not fit.
    """
    cfg = read_config(path)
    if not named_in(cfg):
        block = " (its `dealign:` block alone changes nothing)" if "dealign" in cfg else ""
        raise ConfigError(f"{path}: the plugin line is missing{block}; add to it: plugins: [{PLUGIN}]")
    settings = check_config(cfg)
    if importlib.util.find_spec("axolotl") is None:
        raise AxolotlError(f"axolotl is not installed beside this package, so that {path} cannot be trained here")
    from axolotl_dealign.loader import check_fit  # takes seconds, and every line above can be said without it

    version = check_fit()
    watch = Watch.from_settings(settings)
    return (
        f"{path}: arm `{settings.arm}`, threshold {settings.cut}, detectors {', '.join(watch.names)}, "
        f"axolotl {version}: fits"
    )
