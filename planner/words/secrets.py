"""Secrets in URLs and connection strings, taken out before anything is printed or logged.

One rule for every form, also for what cannot be parsed: a mistyped URL is printed in the message
that says so, and must not take its password along.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_ENDINGS = (
    "password|passwd|passphrase|passcode|pwd|secret|token|credentials?|signature|"
    "api_?-?key|access_?-?key|account_?-?key|private_?-?key|secret_?-?key"
)
"""How the names of secrets end: sslpassword, client_secret, x-amz-security-token."""
_IN_QUERY_ONLY = "key|sig|auth|authorization|pass|sas|jwt|bearer|session|session_?id|otp"
"""How such names end in a query; elsewhere these words say something else."""
_PASSWORDS = "password|passwd|passphrase|passcode|pwd|access_?-?key|secret_?-?key"
"""Names whose value is a secret after a colon too, also where they stand without quotes."""

_COLON = "(?::|%3[Aa])"
# scheme://user:secret@host, with any number of slashes. The user may be missing and the secret may
# hold anything but white space: up to the last @ before it.
_AUTHORITY = re.compile(
    rf"(?P<before>[A-Za-z][A-Za-z0-9+.-]{{0,40}}[:;]?/{{1,3}}(?:(?!%3[Aa])[^\s:/@'\"?#])*{_COLON})[^\s'\"]*@"
)
# A whole text that is one URL: its secret may hold white space and quotes too.
_WHOLE = re.compile(r"\A(?P<before>[A-Za-z][A-Za-z0-9+.-]*:/{1,3}[^\s:/@?#]*:).*@", re.DOTALL)
# Everything repeated below is bounded, or looked for in text that is known to hold its end: a message may be
# somebody's own 64 kB, and a search that takes their square holds up every thread (2 s for 8,000 letters, once).
# Of the web a name alone is a token: https://ghp_...@host.
_NAMELESS = re.compile(r"(?P<before>\bhttps?://)[^\s:/@'\"?#]+@", re.IGNORECASE)
# A scheme without slashes or no scheme at all: postgresql:me:secret@host, me:secret@host/db. A path after
# a drive's letter is none.
_BARE = re.compile(
    r"(?P<before>(?:[\w.+-]{1,40}:)?(?:\\\\)?[\w.+%-]{1,100}:)(?!/)[^\s'\"]+@(?=[\w.\[])"
)
_RUN = re.compile(r"[^\s'\"]+")
# What is left are separators that were mixed up: with no secret after a colon and before an @, a URL is taken for
# what it is only where all of it reads as one. Better a path hidden than a key shown.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,40}"
_BEGINS = rf"{_SCHEME}(?:[:;]/{{1,4}}|//)(?!/)"
_NAME = r"[^\s:/@'\"?#,;|=%]{0,100}(?:%(?!40|3[Aa])[^\s:/@'\"?#,;|=%]{0,100}){0,9}"
_AT = "(?:@|%40)"
_ANY = r"[^\s'\"]{1,300}"
_HOST = r"(?:[\w.-]{1,100}|\[[0-9A-Fa-f:.%]{2,60}\])(?::\d{1,5})?"
_OVER = r"(?:\?[\w.%-]{1,60}=|#|[:;,.)\]}>]*\Z)"
_SOUND = rf"{_HOST}(?:,{_HOST}){{0,9}}(?:/[^\s:@'\"?#]{{0,300}})?{_OVER}"
# user@secret:host, user@secret@host. git@host:owner/repository is how git writes a path.
_TURNED = re.compile(
    rf"(?P<before>{_BEGINS}{_NAME}{_AT})(?<!/git@)(?!{_SOUND}){_ANY}(?P<then>[:@]|%3[Aa]|%40)(?=[\w\[])"
)
# user;secret@host.
_DIVIDED = re.compile(rf"(?P<before>{_BEGINS}{_NAME}[,;|=]){_ANY}(?P<then>@)(?=[\w\[])")
# user/secret@host where no path has an @: databases and buckets.
_STORES = r"(?:postgres|mysql|mariadb|mssql|oracle|mongodb)[a-z0-9+]*|rediss?|amqps?|s3[an]?|gs|gcs|az|abfss?"
_SLASHED = re.compile(
    rf"(?P<before>\b(?:{_STORES})(?:[:;]/{{1,4}}|//)(?!/){_NAME}/){_ANY}(?P<then>@)(?=[\w\[])",
    re.IGNORECASE,
)
# user:secret and no @ after it. A drive's letter, a port and the word for one are none, nor a file's path.
_UNENDED = re.compile(
    rf"(?P<before>\b(?!(?:file|sqlite|duckdb|docker)\b){_SCHEME}[:;]?//{{1,3}}(?!/|\[|[A-Za-z]:[\\\\/]){_NAME}{_COLON})"
    rf"(?!\d{{1,5}}(?:[/?#,]|{_OVER})|PORT\b|port\b|\*\*\*@|[:;,.)\]}}>]*\Z)(?!/)[^\s'\"]+"
)
_HOST_AFTER = re.compile(r"@(?=[\w.\[])")
_VALUE = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&;'\"]+)"
_IS = r"\s*(?:=|%3[Dd])\s*"
_PAIR = re.compile(rf"(?P<before>(?<![\w.-])[\w.-]*(?:{_ENDINGS}){_IS}){_VALUE}", re.IGNORECASE)
_IN_QUERY = re.compile(
    rf"(?P<before>[?&;#][\w.-]*(?:{_IN_QUERY_ONLY})(?:=|%3[Dd])){_VALUE}", re.IGNORECASE
)
# {'password': 'x'}, password: x, Authorization: Bearer x.
_MAPPED = re.compile(
    rf"(?P<before>(?:(?P<mark>['\"])[\w.-]*(?:{_ENDINGS})(?P=mark)|(?<![\w.-])[\w.-]*(?:{_PASSWORDS}))\s*:\s+)"
    rf"{_VALUE}",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<before>\b(?:Bearer|Basic)\s+)(?=\S*\d)[^\s'\"]{8,}", re.IGNORECASE)


def redacted(text: str) -> str:
    """A URL, a connection string or a message that holds some, without their secrets.

    >>> redacted("postgresql://me:secret@host/db?sslpassword=x&sslmode=require")
    'postgresql://me:***@host/db?sslpassword=***&sslmode=require'
    >>> redacted("s3://bucket/folder?token=abc")
    's3://bucket/folder?token=***'
    >>> redacted("host=db password='a b' user=me")
    'host=db password=*** user=me'
    """
    for pair in (_PAIR, _IN_QUERY, _MAPPED, _BEARER):
        text = pair.sub(rf"\g<before>{HIDDEN}", text)
    text = _WHOLE.sub(rf"\g<before>{HIDDEN}@", text)
    return (
        _RUN.sub(lambda run: _without_authority(run[0]), text) if re.search(r"@|//", text) else text
    )


def _without_authority(text: str) -> str:
    """What stands between white space or quotes, without the secret in its authority."""
    if "@" in text:
        text = _before_the_host(text)
    if "/" not in text:
        return text
    for mixed_up in (_TURNED, _DIVIDED, _SLASHED):
        text = mixed_up.sub(rf"\g<before>{HIDDEN}\g<then>", text)
    return _UNENDED.sub(rf"\g<before>{HIDDEN}", text)


def _before_the_host(text: str) -> str:
    """Without the secret between a colon and the last @."""
    cut = text.rindex("@") + 1
    text = (
        _NAMELESS.sub(rf"\g<before>{HIDDEN}@", _AUTHORITY.sub(rf"\g<before>{HIDDEN}@", text[:cut]))
        + text[cut:]
    )
    hosts = [found.end() for found in _HOST_AFTER.finditer(text)]
    # With one character of the host, which the search looks ahead to.
    cut = hosts[-1] + 1 if hosts else 0
    return _BARE.sub(rf"\g<before>{HIDDEN}@", text[:cut]) + text[cut:]
