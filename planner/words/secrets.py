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
_ALONE = "key|sig|auth|authorization|pass|sas"
"""Names of secrets in a query; elsewhere these words say something else."""

# scheme://user:secret@host, with any number of slashes. The user may be missing and the secret may
# hold anything but white space: up to the last @ before it.
_AUTHORITY = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*[:;]?/{1,3}[^\s:/@'\"?#]*):[^\s'\"]*@")
# A whole text that is one URL: its secret may hold white space and quotes too.
_WHOLE = re.compile(r"\A(?P<before>[A-Za-z][A-Za-z0-9+.-]*:/{1,3}[^\s:/@?#]*):.*@", re.DOTALL)
# A scheme without slashes or no scheme at all: postgresql:me:secret@host, me:secret@host/db.
_BARE = re.compile(r"(?P<before>(?:[\w.+-]+:)?[\w.+%-]+):[^\s'\"@/]+@(?=[\w.\[])")
_VALUE = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&;'\"]+)"
_PAIR = re.compile(rf"(?P<before>(?<![\w.-])[\w.-]*(?:{_ENDINGS})\s*=\s*){_VALUE}", re.IGNORECASE)
_IN_QUERY = re.compile(rf"(?P<before>[?&;](?:{_ALONE})=){_VALUE}", re.IGNORECASE)


def redacted(text: str) -> str:
    """A URL, a connection string or a message that holds some, without their secrets.

    >>> redacted("postgresql://me:secret@host/db?sslpassword=x&sslmode=require")
    'postgresql://me:***@host/db?sslpassword=***&sslmode=require'
    >>> redacted("s3://bucket/folder?token=abc")
    's3://bucket/folder?token=***'
    >>> redacted("host=db password='a b' user=me")
    'host=db password=*** user=me'
    """
    for pair in (_PAIR, _IN_QUERY):
        text = pair.sub(rf"\g<before>{HIDDEN}", text)
    for address in (_WHOLE, _AUTHORITY, _BARE):
        text = address.sub(rf"\g<before>:{HIDDEN}@", text)
    return text
