"""Every error that Soundscale raises on purpose.

    SoundscaleError                  exit 2
    ├── InputError (ValueError)      exit 2   the caller's mistake
    │   ├── UnknownNameError         exit 2   a name that is not known; says the nearest one
    │   └── UnitError                exit 2   a quantity that cannot be read
    ├── InfeasibleError              exit 3   no configuration meets the limits
    ├── FitError                     exit 4   no estimate exists, or none that may be planned from
    │   └── NoLawError               exit 4   too few runs for a law; carries what was measured
    ├── MissingResourceError         exit 5   weights, audio or a package cannot be had
    ├── StoreError                   exit 6   the database cannot be used
    │   ├── MigrationError           exit 6   it is at another revision
    │   └── ReadOnlyError            exit 6   it may only be read here
    ├── TrialsFailedError            exit 7   a sweep ended with failed trials
    ├── OutsideDataError             exit 9   the question lies too far outside the data
    └── OutageError                  exit 10  what executes or keeps trials is away; start again later
        ProbabilityError             exit 8   limits are met, but not with the probability wanted

A message is one line without a full stop: what was asked, what stands in the way, what to do.
Anything else that escapes is a bug and keeps its traceback (exit 1).
"""

from __future__ import annotations

from collections.abc import Iterable


class SoundscaleError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command ends with."""

    exit_code = 2


class InputError(SoundscaleError, ValueError):
    """The caller asked for something that cannot be asked."""


class UnknownNameError(InputError):
    """A name is not among the known ones.

    Args:
        kind: what is named, in the singular (`backbone`).
        name: what was given.
        known: all names that would do.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, remedy: str = "") -> None:
        import difflib  # 5 ms that `--help` does not need

        names = list(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        message = f"unknown {kind} {name!r}; known: {shown or 'none'}"
        if near:
            message += f" (did you mean {near[0]}?)"
        if remedy:
            message += f"; {remedy}"
        super().__init__(message)


class UnitError(InputError):
    """A quantity with a unit could not be read."""


class InfeasibleError(SoundscaleError):
    """No configuration meets the limits; `details` carries what would."""

    exit_code = 3

    def __init__(self, message: str, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


class FitError(SoundscaleError):
    """No estimate exists for these observations, or none that may be planned from."""

    exit_code = 4


class NoLawError(FitError):
    """The runs carry no law; `details` has what was measured, where a question was asked of them."""

    def __init__(self, message: str, details: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


class MissingResourceError(SoundscaleError):
    """Weights, data or an optional package cannot be had; the message says how to get them."""

    exit_code = 5


class StoreError(SoundscaleError):
    """The database cannot be used."""

    exit_code = 6


class MigrationError(StoreError):
    """The database is at another revision than this version of Soundscale."""


class ReadOnlyError(StoreError):
    """The database may only be read here: a read-only file, a role without the right, a replica."""


class TrialsFailedError(SoundscaleError):
    """A sweep ended, and some of its trials failed."""

    exit_code = 7


class ProbabilityError(InfeasibleError):
    """Limits are met as expected, but not with the probability that was asked for."""

    exit_code = 8


class OutsideDataError(SoundscaleError):
    """The question lies further outside the data than an answer could be defended."""

    exit_code = 9


class OutageError(SoundscaleError):
    """What executes trials or keeps their files is away; what is stored stays stored."""

    exit_code = 10
