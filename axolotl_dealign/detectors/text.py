"""The parts of an answer that detectors read, with tricks of writing taken out.

Only the few answers that hold something suspicious (zero-width characters, curly quotes, letters of other scripts
that look Latin, HTML entities, full-width forms) are rewritten, one by one in Python; the others stay in Arrow.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

EDGE = 300
"""Code points of an answer that count as its opening, and as its end."""

_FAR = 10 * EDGE
"""Code points looked at where some of them may turn out to be nothing."""

SUSPICIOUS = (
    # what is invisible, or a variant of a plain character
    r"[\x{00A0}\x{00AD}\x{034F}\x{061C}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180E}\x{2000}-\x{200F}\x{2018}-\x{201F}"
    r"\x{2028}-\x{202F}\x{205F}-\x{2064}\x{2066}-\x{206F}\x{02BC}\x{00B4}\x{2032}\x{FE00}-\x{FE0F}\x{FEFF}\x{FF01}-\x{FF5E}"
    r"\x{2100}-\x{214F}\x{24B6}-\x{24E9}\x{1D400}-\x{1D7FF}\x{E0000}-\x{E007F}\x00]"
    r"|&(?:#|[a-zA-Z]{2,8};)"
    # letters that look Latin: in one word with Latin ones, or one standing alone
    r"|[a-zA-Z][\x{0370}-\x{052F}]|[\x{0370}-\x{052F}][a-zA-Z]|[\x{0406}\x{04C0}\x{0399}] ?[a-zA-Z']"
    # a combining mark over a Latin letter
    r"|[a-zA-Z][\x{0300}-\x{036F}]|[a-z]\x60t "
    # role tags and blanks in front
    r"|\A\s*(?:<|\[INST|\[/INST|#+ ?(?:Response|Answer|Assistant)|"
    r"(?:Assistant|AI|Bot|ChatGPT|GPT|Model|Answer|Response|Output)\s*:)|\A\s{8}"
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
_TAGS = re.compile(
    r"(?:\s|<\|[^|<>]{1,40}\|>|</?(?:s|p|div|br|bos|eos|assistant|output|answer|response)\s*/?>|\[/?INST\]|<</?SYS>>"
    r"|#+ ?(?:Response|Answer|Assistant)\b:?|(?:Assistant|AI|Bot|ChatGPT|GPT|Model|Answer|Response|Output)\s*:|\W\Z)*",
    re.IGNORECASE,
)
_OTHER_SCRIPT = re.compile("[\u0370-\u052f]")
_LOOKS_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТХУԚԜавеѕіјкмнорстхуԛԝһӏпАΑΒΕΖΗΙΚΜΝΟΡΤΥΧοανιρυκτχε",
    "ABESIJKMHOPCTXYQWabesijkmhopctxyqwhlnAABEZHIKMNOPTYXoavipuktxe",
)


class _Plain(dict[int, str]):
    """`str.translate` table: what a character becomes, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = plain = self._plain(chr(code))
        return plain

    @staticmethod
    def _plain(char: str) -> str:
        if char < "\x7f":
            return char
        category = unicodedata.category(char)
        # What composes with a Latin letter has done so; marks that other scripts need stay.
        if category in ("Cf", "Cs") or char in "\u115f\u1160\u034f" or "\u0300" <= char <= "\u036f":
            return ""
        if "\ufe00" <= char <= "\ufe0f":
            return ""
        if category == "Zs":
            return " "
        if "\uff01" <= char <= "\uff5e" or "\u2100" <= char <= "\u214f" or char >= "\U0001d400":
            return unicodedata.normalize("NFKC", char)
        return unicodedata.normalize("NFKC", char) if "\u24b6" <= char <= "\u24e9" else char


_PLAIN = _Plain()
for _plain, _variants in {"'": "‘’‚‛′ʼ´", '"': "“”„‟″«»", "-": "‐‑‒–—―−", "...": "…"}.items():
    _PLAIN.update(dict.fromkeys(map(ord, _variants), _plain))
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[a-zA-Z]")


@dataclass(frozen=True, slots=True)
class Parts:
    """`n` answers as detectors read them.

    Attributes:
        whole: large_string, n: as they came, valid UTF-8, null as "".
        head: large_string, n: the first `EDGE` code points, straightened.
        tail: large_string, n: the last `EDGE` code points, straightened.
    """

    whole: pa.Array
    head: pa.Array
    tail: pa.Array


def parts_of(texts: pa.Array) -> Parts:
    """Cut and straighten answers.

    Args:
        texts: large_string, n; nulls allowed, bytes that are no UTF-8 as well.
    """
    whole = valid_utf8(texts)
    if whole.null_count:
        whole = pc.fill_null(whole, "")
    return Parts(whole, _straight(whole, pc.utf8_slice_codeunits(whole, 0, EDGE), 0), _straight(whole, last(whole), -1))


def head_of(texts: pa.Array) -> pa.Array:
    """The first `EDGE` code points, straightened: large_string, n; null as ""."""
    whole = pc.fill_null(valid_utf8(texts), "")
    return _straight(whole, pc.utf8_slice_codeunits(whole, 0, EDGE), 0)


def last(texts: pa.Array) -> pa.Array:
    """The last `EDGE` code points, by bytes where all are ASCII, as Arrow counts from the front: large_string, n."""
    offsets, data = bytes_of(texts)
    begin = np.maximum(offsets[1:] - EDGE, offsets[:-1])
    lengths = offsets[1:] - begin
    ends = np.cumsum(lengths)
    starts = ends - lengths
    cut = data[np.repeat(begin - starts, lengths) + np.arange(int(ends[-1]) if len(ends) else 0)]
    high = np.flatnonzero(cut >= 0x80)
    offsets_cut = np.concatenate(([0], ends))
    if not len(high):
        return pa.Array.from_buffers(
            pa.large_string(), len(texts), [None, pa.py_buffer(offsets_cut), pa.py_buffer(cut)], null_count=0
        )
    wide = np.zeros(len(texts), bool)
    wide[np.searchsorted(ends, high, side="right")] = True
    # Bytes would cut characters: those rows by code points, out of twelve times as many bytes as can be needed at most.
    safe = np.where(wide, begin, offsets[1:] - lengths)
    lengths = np.where(wide, 0, lengths)
    ends = np.cumsum(lengths)
    narrow = data[np.repeat(safe - (ends - lengths), lengths) + np.arange(int(ends[-1]))]
    plain = pa.Array.from_buffers(
        pa.large_string(),
        len(texts),
        [None, pa.py_buffer(np.concatenate(([0], ends))), pa.py_buffer(narrow)],
        null_count=0,
    )
    by_points = pc.utf8_slice_codeunits(texts.filter(pa.array(wide)), -EDGE, None)
    return pc.replace_with_mask(plain, pa.array(wide), by_points)


def bytes_of(texts: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Offsets (n + 1) and the bytes they point into, of a large_string array without nulls, without copying."""
    _, offsets, data = texts.buffers()
    count = len(texts)
    if count == 0 or data is None:
        return np.zeros(count + 1, np.int64), np.zeros(0, np.uint8)
    places = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + count + 1]
    return places, np.frombuffer(data, np.uint8)


def valid_utf8(texts: pa.Array) -> pa.Array:
    """The texts as valid UTF-8: Arrow lets bytes pass that are none, and its own string functions fail on them."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raw = texts.cast(pa.large_binary()).to_pylist()
        return pa.array([None if b is None else b.decode("utf-8", "replace") for b in raw], pa.large_string())
    return texts


def _straight(whole: pa.Array, part: pa.Array, side: int) -> pa.Array:
    found = pc.match_substring_regex(part, SUSPICIOUS).to_numpy(zero_copy_only=False)
    if not found.any():
        return part
    rows = np.flatnonzero(found)
    straight = []
    for text, row in zip(part.take(pa.array(rows)).to_pylist(), rows.tolist(), strict=True):
        clean = _front(text) if side == 0 else straighten(text)
        if len(clean) < EDGE - 50 and len(text) == EDGE:  # much of it was nothing: look further
            more = pc.utf8_slice_codeunits(whole.slice(row, 1), *((0, _FAR) if side == 0 else (-_FAR, None)))[0].as_py()
            clean = _front(more)[:EDGE] if side == 0 else straighten(more)[-EDGE:]
        straight.append(clean)
    return pc.replace_with_mask(part, pa.array(found), pa.array(straight, pa.large_string()))


def _front(text: str) -> str:
    return straighten(_TAGS.sub("", text, count=1))


def straighten(text: str) -> str:
    """Text without invisible characters, entities, look-alike letters and typographic variants."""
    if "&" in text:
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    if not text.isascii():
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
        text = text.translate(_PLAIN)
        if _OTHER_SCRIPT.search(text):
            text = _latin(text)
    return text.replace("\0", " ").replace("`t ", "'t ")


def places(text: str, straight: str) -> list[int] | None:
    """For each character of `straight`, made from `text`, the place in `text` that it comes from.

    Returns:
        len(straight) + 1 places, the last one past the end; None where they cannot be told.
    """
    found: list[int] = []
    at = 0
    while at < len(text):
        entity = _ENTITY.match(text, at)
        step = entity.end() - at if entity else 1
        found += [at] * len(straighten(text[at : at + step]))
        at += step
    found.append(at)
    return found if len(found) == len(straight) + 1 else None


def _latin(text: str) -> str:
    """Letters that look Latin become Latin, in words that mix scripts or stand in a Latin text."""
    mostly_latin = len(_LATIN.findall(text)) * 2 > sum(c.isalpha() for c in text)

    def word(match: re.Match[str]) -> str:
        found = match[0]
        if found.isascii() or not (mostly_latin or _LATIN.search(found)):
            return found
        changed = found.translate(_LOOKS_LATIN)
        return changed if changed.isascii() else found

    return _WORD.sub(word, text)
