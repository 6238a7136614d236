"""Model outputs and rows are somebody else's text: make them visible, and harmless, wherever they are shown."""

from __future__ import annotations

import re

_DIRECTION = "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_HIDDEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_DIRECTION}\ud800-\udfff]")


def visible(text: str, limit: int | None = None) -> str:
    """Show control, direction and surrogate characters as what they are, and long text by its beginning.

    Args:
        text: Any text.
        limit: How many characters to show; how many more there are is said.
    """
    rest = 0 if limit is None else len(text) - limit
    if rest > 0:
        text = text[:limit]
    shown = _HIDDEN.sub(_name, text.replace("\r\n", "\n"))
    return f"{shown} … [{rest:,} more characters]" if rest > 0 else shown


def markdown(text: str) -> str:
    """Text for a Markdown table cell or line: nothing in it is markup, and it stays on one line."""
    escaped = re.sub(r"([\\`*\[\]<>|#~&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", visible(text))
    # A bare address would become a link.
    return " ".join(re.sub(r"(?i)\b(https?|ftp|www)(?=[:.])", "\\1\u200b", escaped).split())


def _name(match: re.Match[str]) -> str:
    code = ord(match[0])
    # The control pictures of Unicode: U+2400 is the picture of U+0000.
    return chr(0x2400 + code) if code < 0x20 else f"[U+{code:04X}]"
