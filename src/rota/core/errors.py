"""Every error rota raises on purpose.

    RotaError
    ├── InvalidError            bad input: names the field, the value and what is allowed   (CLI exit code 2)
    │   └── NeverFiresError     a schedule of which no tick will fire
    ├── NotFoundError           no such schedule, run, task, batch ...
    ├── ExistsError             an id that is taken
    ├── ConflictError           the row changed under the caller, or the state does not allow the call
    ├── StoreError              the store cannot do what was asked; nothing was half-written
    │   ├── StoreLockedError    another process holds it
    │   ├── StoreReadOnlyError
    │   ├── StoreDeniedError     AWS denies it; the message names the permission that is lacking
    │   ├── StoreFullError
    │   ├── StoreBusyError      throttled, or held up by others: trying again helps
    │   ├── StoreCorruptError
    │   └── StoreVersionError   a schema newer than this rota
    ├── TargetError             a firing that failed; retried if `transient`
    ├── WrongNumberError        a task with batch=True that did not return one result for each item
    └── SourceError             a batch source that cannot be read
        ├── SourceDeniedError   AWS denies it; the message names the permission that is lacking
        └── LastingSourceError  another try cannot help: it is missing, changed, or not what the batch says it is

Every error carries `ids`: the identifiers it is about, for logs and for `--json`.
"""

from __future__ import annotations

from typing import Self

_SHOWN = 80
_HERE = f"{__name__}."


def public_name(name: str) -> str:
    """The name under which users know an exception: rota's own are rota.TargetError and the like, wherever they are
    defined. What is stored keeps the full name, by which failures are grouped."""
    return f"rota.{name.removeprefix(_HERE)}" if name.startswith(_HERE) else name


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 an int of 5,000 digits, a value nested too deeply, a __repr__ of the user's
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


class RotaError(Exception):
    """Base of all; `ids` maps a word of the glossary ("schedule", "run", ...) to the identifier concerned."""

    def __init__(self, message: str, **ids: str) -> None:
        super().__init__(message)
        self.ids = ids


class InvalidError(RotaError, ValueError):
    """Bad input. `field` is what the user wrote, `value` what they gave, `allowed` a phrase that says what is
    allowed."""

    def __init__(self, field: str, value: object, allowed: str, **ids: str) -> None:
        super().__init__(f"{field}: {_shown(value)} is not allowed; {allowed}", **ids)
        self.field = field
        self.value = value
        self.allowed = allowed

    @classmethod
    def missing(cls, field: str, allowed: str) -> Self:
        """Nothing is given where something has to be."""
        error = cls(field, None, allowed)
        error.args = (f"{field} is missing: {allowed}",)
        return error


class NeverFiresError(InvalidError):
    """No tick will fire: an impossible date, an end that is past, everything excluded or in a daylight gap, a one-off
    that is past and would be skipped."""


class NotFoundError(RotaError, LookupError):
    """What was asked for does not exist."""

    def __init__(self, kind: str, identifier: str, hint: str = "") -> None:
        super().__init__(
            f"no {kind} {_shown(identifier)}{'; ' + hint if hint else ''}", **{kind.replace(" ", "_"): identifier}
        )
        self.kind = kind


class ExistsError(RotaError):
    """The id is taken."""

    def __init__(self, kind: str, identifier: str, hint: str = "") -> None:
        super().__init__(
            f"{kind} {_shown(identifier)} exists already{'; ' + hint if hint else ''}",
            **{kind.replace(" ", "_"): identifier},
        )
        self.kind = kind


class ConflictError(RotaError):
    """The state of the thing does not allow the call, or someone else changed it first."""


class StoreError(RotaError):
    """The store cannot do what was asked. Nothing was half-written."""


class StoreLockedError(StoreError):
    """Another process holds the database; the message names the holder where it is known."""


class StoreReadOnlyError(StoreError):
    """The file, its directory or the file system cannot be written."""


class StoreDeniedError(StoreError):
    """AWS denies what it takes. The message names the permission that is lacking."""


class StoreFullError(StoreError):
    """The disk or the size limit is full."""


class StoreBusyError(StoreError):
    """The store takes no more at the moment; trying again helps."""


class StoreCorruptError(StoreError):
    """The file is not a database, or fails SQLite's own checks."""


class StoreVersionError(StoreError):
    """The schema is newer than this version of rota."""


class TargetError(RotaError):
    """A firing failed. `transient` tells whether trying again can help, `retry_after` how many seconds to wait at least
    before that. types, frame: what the program that was called says of its own error: the names of its class, nearest
    first, and the line it came from; empty if it says nothing."""

    def __init__(
        self,
        message: str,
        *,
        transient: bool = True,
        retry_after: float = 0.0,
        types: tuple[str, ...] = (),
        frame: str = "",
        **ids: str,
    ) -> None:
        super().__init__(message, **ids)
        self.transient = transient
        self.retry_after = retry_after
        self.types = types
        self.frame = frame


class WrongNumberError(RotaError, ValueError):
    """A task with `batch=True` returned more or fewer results than it was given items, or no list. The message has the
    numbers of its first call, though the items at fault are then found by calling it with fewer."""


class SourceError(RotaError):
    """A batch source that cannot be read."""


class SourceDeniedError(SourceError):
    """AWS denies reading a batch source. The message names the permission that is lacking."""


class LastingSourceError(SourceError):
    """A batch source that is missing, that changed under the batch run, or that is not what the batch says it is:
    another format, another encoding, without a column. Another try cannot help."""
