"""`axolotl-dealign clean`: what the plugin does to a dataset, done to a file.

lines.py    JSON lines and JSON arrays, rows kept as the text that they are
tables.py   Parquet, Arrow, and what `datasets` loads
place.py    where the output goes: one writer at a time, whole or not there
clean.py    two readings: judge and decide, then write
"""

from __future__ import annotations
