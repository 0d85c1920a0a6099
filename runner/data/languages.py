"""Which language a corpus is of: what its source says for each clip, and what its letters show."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from planner.errors import InputError
from planner.words.languages import LANGUAGES
from runner.data.clips import DataSpec, Listing

FOREIGN_SCRIPT = 0.5
"""Share of letters outside of Latin from which a text cannot be English (assumption)."""

ACCENTED = 0.005
"""Share of letters outside of ASCII from which transcripts are hardly English (assumption: names and loan words
stay below it; German has 1.7 %, French 3.5 %, Spanish 2.4 % in newspaper text)."""


_THREE_LETTERS = """
    af afr am amh ar ara,arb as asm az aze,azj ba bak be bel bg bul bn ben bo bod,tib br bre bs bos ca cat cs ces,cze
    cy cym,wel da dan de deu,ger el ell,gre en eng es spa et est,ekk eu eus,baq fa fas,per,pes fi fin fo fao fr fra,fre
    gl glg gu guj ha hau haw haw he heb hi hin hr hrv ht hat hu hun hy hye,arm id ind is isl,ice it ita ja jpn jw jav,jv
    ka kat,geo kk kaz km khm kn kan ko kor la lat lb ltz ln lin lo lao lt lit lv lav,lvs mg mlg mi mri,mao mk mkd,mac
    ml mal mn mon,khk mr mar ms msa,may,zsm mt mlt my mya,bur ne nep,npi nl nld,dut nn nno no nor,nob,nb oc oci pa pan
    pl pol ps pus,pbt pt por ro ron,rum ru rus sa san sd snd si sin sk slk,slo sl slv sn sna so som sq sqi,alb,als
    sr srp su sun sv swe sw swa,swh ta tam te tel tg tgk th tha tk tuk tl tgl,fil tr tur tt tat uk ukr ur urd
    uz uzb,uzn vi vie yi yid,ydd yo yor yue yue zh zho,chi,cmn
""".split()  # noqa: SIM905 (pairs read better so)
THREE_LETTERS = {
    long: code
    for code, longs in zip(_THREE_LETTERS[::2], _THREE_LETTERS[1::2], strict=True)
    for long in longs.split(",")
}
"""ISO 639-2 and 639-3 codes, and other spellings of a code, of the languages that Whisper knows."""


def code_of(written: str) -> str | None:
    """The language's own part of a code, or the code of its English name; None for nothing.

    >>> code_of("zh-CN"), code_of("pt_BR"), code_of(" "), code_of("German"), code_of("deu"), code_of("cmn_hans_cn")
    ('zh', 'pt', None, 'de', 'de', 'zh')
    """
    code = written.strip().lower().replace("_", "-").partition("-")[0]
    code = THREE_LETTERS.get(code, code)
    if not code or code in LANGUAGES:
        return code or None
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    return str(TO_LANGUAGE_CODE.get(code, code))


def of_language(listing: Listing, spec: DataSpec) -> Listing:
    """The clips of the request's language, where the source names the language of its clips.

    Raises:
        InputError: there is none of it; or none was asked for, and the source names several or another
            language than English.
    """
    named = Counter(c.language for c in listing.clips if c.language)
    if listing.task != "asr" or not named:
        return listing
    there = ", ".join(f"{code} {n}" for code, n in named.most_common())
    if spec.language is None:
        if set(named) == {"en"}:
            return listing
        several = "several languages" if len(named) > 1 else "another language than English"
        raise InputError(
            f"{listing.name} holds {several} by its own account ({there} clips), and a trial is of one: "
            f"set data.language to one of them, and make a sweep of each"
        )
    kept = tuple(c for c in listing.clips if c.language in (None, spec.language))
    if not kept:
        raise InputError(
            f"{listing.name} holds no clip in {spec.language}: it has {there}; set data.language"
        )
    return dataclasses.replace(listing, clips=kept)


def letters(texts: Iterable[str]) -> tuple[float, float]:
    """Shares of letters outside of ASCII, and outside of Latin script (by their code points).

    >>> [round(share, 2) for share in letters(["schön", "मैं"])]
    [0.33, 0.17]
    """
    seen = Counter(
        "ascii" if c.isascii() else "latin" if ord(c) < LATIN_ENDS else "other"
        for text in texts
        for c in text
        if c.isalpha()
    )
    total = seen.total() or 1
    return (seen["latin"] + seen["other"]) / total, seen["other"] / total


LATIN_ENDS = 0x0250
"""First code point after Latin Extended-B."""


def not_english(texts: Iterable[str]) -> str | None:
    """Why transcripts are hardly English; None where they may well be.

    >>> not_english(["hold the line"]) is None
    True
    """
    accented, foreign = letters(texts)
    if foreign > FOREIGN_SCRIPT:
        return f"{foreign:.0%} of the letters are of another script than Latin"
    if accented > ACCENTED:
        return f"{accented:.1%} of the letters are not English"
    return None
