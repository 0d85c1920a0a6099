"""The built-in sample: the prompts of a telephone system, read by one professional speaker.

Debian's `asterisk-core-sounds-en-wav` holds the audio (8 kHz WAV, Allison Smith, CC BY-SA 3.0) and
`asterisk-core-sounds-en` the transcripts. Left out: texts in brackets (noises and notes), prompts
whose symbols (`*`, `#`) are read out in words the text does not give, and the folders of single
letters, the phonetic alphabet and silence. What is left: 458 prompts, 22.6 minutes, 3,110 words.

`prompts-2` leaves out more: the single numbers, days and months of the folder `digits`, which joined make lists
that no text of speech has, and texts that are there twice: 329 prompts, 19.9 minutes, 2,837 words are left.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path

from planner.errors import MissingResourceError
from runner.data.clips import Clip, DataSpec, Listing, normalised
from runner.weights.packages import (
    Package,
    Say,
    cache_folder,
    fetch_deb,
    install,
    sha256_tree,
    unpack_deb,
)

AUDIO = Package(
    name="asterisk-core-sounds-en-wav",
    version="1.6.1-1",
    sha256="2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
    n_bytes=18_272_864,
)
TEXTS = Package(
    name="asterisk-core-sounds-en",
    version="1.6.1-1",
    sha256="973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
    n_bytes=22_844,
)
CONTENT_SHA256 = "70fc69813a65d59334051f8101639c74ecb6e445f42d5993bdd6dbc4267cd470"
"""`registry.sha256_tree` of both packages' content below one folder."""

LICENCE = "CC BY-SA 3.0 (Allison Smith, Digium)"
SPEAKER = "allison"

_SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison"
_TRANSCRIPTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
_NOT_SPEECH = ("letters/", "phonetic/", "silence/")
_LISTS = "digits/"
NAMES = ("prompts", "prompts-2")
"""Names of the data: a new choice of prompts has a new name, so that databases of before stay apart."""
_NOT_SPOKEN = re.compile(r"[\[\]<>()*#@&/]")


def transcripts(text: str) -> dict[str, str]:
    """Prompt names and texts from lines `name: text`; what is not plain speech is left out.

    >>> transcripts("; head\\nbeep: [a tone]\\nletters/a: a\\nadded: Added.\\n")
    {'added': 'Added.'}
    """
    out: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, spoken = line.partition(":")
        name, spoken = name.strip(), spoken.strip()
        if not colon or not spoken or name.startswith((";", *_NOT_SPEECH)):
            continue
        if not _NOT_SPOKEN.search(spoken):
            out[name] = spoken
    return out


def without_lists(texts: Mapping[str, str]) -> dict[str, str]:
    """The prompts without single numbers, days and months, and each text once.

    >>> without_lists({"digits/1": "one", "a": "Press one.", "b": "press one", "c": "Wait."})
    {'a': 'Press one.', 'c': 'Wait.'}
    """
    kept: dict[str, str] = {}
    known: set[str] = set()
    for name, text in texts.items():
        plain = normalised(text)
        if not name.startswith(_LISTS) and plain not in known:
            kept[name] = text
            known.add(plain)
    return kept


def listing(spec: DataSpec, *, cache: Path | None, offline: bool, say: Say) -> Listing:
    """The prompts, from the cache or from Debian's registry.

    Raises:
        MissingResourceError: neither has them; it says what was tried and what to do.
    """
    folder, source = resolve(Path(spec.path) if spec.path else None, cache, offline, say)
    texts = transcripts(gzip.decompress((folder / _TRANSCRIPTS).read_bytes()).decode("utf-8"))
    if spec.name == "prompts-2":
        texts = without_lists(texts)
    files = ((name, folder / _SOUNDS / f"{name}.wav", text) for name, text in texts.items())
    clips = tuple(
        Clip(utterance_id=name, path=path, reference=text, speaker=SPEAKER)
        for name, path, text in files
        if path.is_file()
    )
    return Listing(name=spec.name, task="asr", clips=clips, licence=LICENCE, source=source)


def resolve(path: Path | None, cache: Path | None, offline: bool, say: Say) -> tuple[Path, str]:
    """Folder of the packages' content and where it came from: local folder, cache, registry.

    Raises:
        MissingResourceError: none of them has it.
    """
    if path is not None:
        if not (path / _TRANSCRIPTS).is_file():
            raise MissingResourceError(
                f"{path} holds no {_TRANSCRIPTS}; unpack both packages into it with: dpkg-deb -x FILE.deb {path}"
            )
        return path, f"local folder {path}"
    target = cache_folder(cache) / "data" / f"prompts-{CONTENT_SHA256[:12]}"

    def build(fresh: Path) -> None:
        if offline:
            raise MissingResourceError("not in the cache, and downloads are switched off")
        scratch = fresh.parent
        for package in (TEXTS, AUDIO):
            unpack_deb(fetch_deb(package, scratch, say), fresh)

    try:
        built = install(target, build, lambda folder: sha256_tree(folder) == CONTENT_SHA256)
    except MissingResourceError as error:
        raise MissingResourceError(
            f"built-in prompts cannot be had: {error}; tried: cache {target.parent}, "
            f"Debian packages {AUDIO} and {TEXTS}; "
            "give a folder with both unpacked (data.path), or your own speech as a manifest"
        ) from error
    where = "registry" if built else "cache"
    return target, f"{where}: Debian packages {AUDIO} and {TEXTS}"
