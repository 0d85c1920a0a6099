"""Text for a terminal: what steers it is shown, never sent.

Names, paths and messages come from requests, imported tables and other people's files. An escape
sequence among them could rewrite what the reader sees, or their clipboard.
"""

from __future__ import annotations

import re

_STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls (ECMA-48), all but tab and line feed
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what reorders text (Unicode TR9)
    "\u2028\u2029]"  # line and paragraph separators
)
_BREAKS = re.compile("[\t\n]")


def shown(text: str, *, one_line: bool = False) -> str:
    r"""The text with every character that steers a terminal written out.

    Args:
        text: from anywhere.
        one_line: line feeds and tabs are written out too: a cell, or a line of a log.

    >>> shown("a\x1b[31mb\u202ec")
    'a\\x1b[31mb\\u202ec'
    >>> shown("two\nlines"), shown("two\nlines", one_line=True)
    ('two\nlines', 'two\\nlines')
    """
    found = _STEERS.sub(_written, text)
    return _BREAKS.sub(_written, found) if one_line else found


def shown_json(text: str) -> str:
    r"""JSON with such characters as JSON's own escapes: the same document, and it steers nothing.

    >>> shown_json('{"a": "\x9b1m"}')
    '{"a": "\\u009b1m"}'
    """
    # json.dumps escapes C0 itself; the rest can only stand within a string.
    return _STEERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1] if found[0] != "\u2028" else "\\u2028"
