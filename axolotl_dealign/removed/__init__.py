"""`axolotl-dealign removed`: look at the rows of an audit, judge them, get them back.

read.py      an audit folder -> its rows, filtered
show.py      rows on the terminal, or as JSON
restore.py   the rows back, as they were
page.py      a page to review them with the keyboard
"""

from __future__ import annotations
