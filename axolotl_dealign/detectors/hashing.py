"""Words and their n-grams of whole Arrow columns as hashed numbers, without a Python loop over texts.

A word is a run of letters, digits and apostrophes, hashed as a polynomial over its lower-case bytes; each Chinese,
Japanese or Korean character is a word of its own, since those scripts put no blanks between words. Colons, quotation
marks, question marks, line breaks and code fences are words too: they tell speech and lists from plain sentences.
Every number is exact integer arithmetic, so the same text gives the same n-grams on every machine.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from axolotl_dealign.detectors.text import bytes_of

U64 = npt.NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2, _MIX_3 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0xD6E8FEB86659FD93)
_ROWS = 512
"""Texts worked on at once: about what fits a core's cache."""

# What a byte is: 0 between words, 1 in a word, 2 a word alone, 3 the first byte of a character that is a word alone.
_KIND = np.zeros(256, np.uint8)
_KIND[list(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'")] = 1
_KIND[0x80:] = 1
_KIND[list(b'":?\n`')] = 2
_KIND[0xE3:0xEE] = 3
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32


def ngrams(texts: pa.Array, longest: int, seed: int, bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The hashed n-grams of texts.

    Args:
        texts: large_string, n, no nulls.
        longest: n-grams of 1 to this many words.
        seed: Keeps n-grams of different places apart.
        bits: Numbers are below 2 ** bits.

    Returns:
        Row and number of each n-gram, in no particular order; a row's n-grams with repetition.
    """
    offsets, data = bytes_of(texts)
    rows, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for first in range(0, len(texts), _ROWS):
        ends = offsets[first : first + _ROWS + 1]
        row, words = _words(data[ends[0] : ends[-1]], ends - ends[0])
        gram = words ^ np.uint64(seed * 0x9E3779B9 & 0xFFFFFFFF)
        for length in range(1, longest + 1):
            if length > 1:
                gram = gram[:-1] * _MIX_2 + words[length - 1 :]
            inside = row[: len(gram)] == row[length - 1 :]
            mixed = gram[inside] * _MIX_3
            numbers.append(((mixed ^ (mixed >> np.uint64(29))) * _MIX_1 >> np.uint64(64 - bits)).astype(np.int64))
            rows.append(row[: len(gram)][inside] + first)
    return np.concatenate(rows), np.concatenate(numbers)


def _words(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], U64]:
    """Row and hash of each word of consecutive texts."""
    text = _LOWER[data]
    if (text >= 0x80).any():
        text = _lower_two_bytes(text)
    kind = _KIND[text]
    inside = kind > 0
    begins, ends = inside.copy(), inside.copy()
    begins[1:] &= ~inside[:-1]
    ends[:-1] &= ~inside[1:]
    alone = np.flatnonzero(kind >= 2)
    if len(alone):
        begins[alone] = True
        ends[alone[alone > 0] - 1] = inside[alone[alone > 0] - 1]
        last = alone + np.where(kind[alone] == 3, 2, 0)
        last = last[last < len(text)]
        ends[last] = True
        after = last[last + 1 < len(text)] + 1
        begins[after] = inside[after]
    filled = offsets[:-1][offsets[:-1] < offsets[1:]]
    begins[filled] = inside[filled]
    final = offsets[1:][offsets[:-1] < offsets[1:]] - 1
    ends[final] = inside[final]
    start, end = np.flatnonzero(begins), np.flatnonzero(ends)
    power, inverse = _powers(len(text))
    sums = np.zeros(len(text) + 1, np.uint64)
    np.cumsum((text.astype(np.uint64) + np.uint64(1)) * power, out=sums[1:])
    words = (sums[end + 1] - sums[start]) * inverse[start]
    words ^= words >> np.uint64(29)
    words *= _MIX_1
    words ^= words >> np.uint64(32)
    count = np.cumsum(begins, dtype=np.int64)
    per_row = np.diff(np.concatenate(([0], count))[offsets])
    return np.repeat(np.arange(len(offsets) - 1), per_row), words


def _lower_two_bytes(text: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Lower case for the letters of UTF-8's C3, D0 and D1 blocks: Western European and Russian capitals."""
    text = text.copy()
    latin = np.flatnonzero((text[:-1] == 0xC3) & (text[1:] >= 0x80) & (text[1:] <= 0x9E) & (text[1:] != 0x97))
    text[latin + 1] += 0x20
    first = np.flatnonzero((text[:-1] == 0xD0) & (text[1:] >= 0x90) & (text[1:] <= 0x9F))
    second = np.flatnonzero((text[:-1] == 0xD0) & (text[1:] >= 0xA0) & (text[1:] <= 0xAF))
    text[first + 1] += 0x20
    text[second], text[second + 1] = 0xD1, text[second + 1] - 0x20
    return text


@cache
def _table(size: int) -> tuple[U64, U64]:
    power, inverse = np.full(size, _BASE, np.uint64), np.full(size, pow(_BASE, -1, 1 << 64), np.uint64)
    power[0] = inverse[0] = 1
    return np.multiply.accumulate(power), np.multiply.accumulate(inverse)


def _powers(size: int) -> tuple[U64, U64]:
    """Powers of the base and of its inverse modulo 2 ** 64, `size` of each."""
    power, inverse = _table(1 << max(18, (size - 1).bit_length()))
    return power[:size], inverse[:size]
