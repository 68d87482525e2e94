"""What can go wrong, by what it costs.

A ``SourceError`` costs the block it touches and nothing else; its ``reason`` is the label under which it
is counted. A ``ConfigError`` ends the process with exit code 2 before it serves anything. Anything that is
not an ``AgentError`` is a defect of ours; only the engine and the HTTP server catch it, and they count it.
"""

from __future__ import annotations

import errno
from typing import ClassVar, Self


class AgentError(Exception):
    """The root of every error that this program raises on purpose."""


class ConfigError(AgentError):
    """A setting that cannot be obeyed. The text is one line that names the setting and the cure."""


class ProtocolError(AgentError):
    """What came from the other end, or from a spool, is not what the protocol says: it costs itself, and is counted."""


class SpoolError(AgentError):
    """The spool's directory cannot be used, or its disk took nothing."""


class SourceError(AgentError):
    """A kernel file or document that could not be turned into a struct."""

    reason: ClassVar[str] = "failed"

    def __init__(self, path: str, detail: str = "") -> None:
        super().__init__(f"{path}: {detail}" if detail else path)
        self.path = path
        self.detail = detail

    def kept(self) -> Self:
        """Itself without its frames: one that is put aside would keep them alive, in a cycle, until the next gc."""
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self


class Gone(SourceError):
    """It vanished, or never was (ENOENT, ENODEV, ESRCH): its series end, silently."""

    reason = "gone"


class Unsupported(SourceError):
    """This kernel, this machine or this place cannot tell: omitted, said once at INFO."""

    reason = "unsupported"


class Absent(SourceError):
    """This node has no such thing (no RAID, no bonding): nothing is wrong and nothing is lost; said at DEBUG."""

    reason = "absent"


class Denied(SourceError):
    """We may not read it (EACCES, EPERM): omitted, said once at WARN."""

    reason = "denied"


class Malformed(SourceError):
    """It does not read as documented: the block is omitted, said once at WARN."""

    reason = "malformed"

    def __init__(self, path: str, detail: str, line: bytes | str = "") -> None:
        shown = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
        super().__init__(path, f"{detail}: {shown[:120]!r}" if shown else detail)


class Overdue(SourceError):
    """A collector that passed its deadline, or is still stuck in a call of an earlier collection."""

    reason = "overdue"


class Defect(SourceError):
    """An exception nobody meant to raise: a bug of ours, counted like any other failure."""

    reason = "defect"


_BY_ERRNO: dict[int, type[SourceError]] = {
    errno.ENOENT: Gone,
    errno.ENODEV: Gone,
    errno.ENXIO: Gone,
    errno.ESRCH: Gone,
    errno.ENOTDIR: Gone,
    errno.ESTALE: Gone,
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.EINVAL: Unsupported,
    errno.EOPNOTSUPP: Unsupported,
    errno.ENOSYS: Unsupported,
}


def from_oserror(error: OSError, path: str) -> SourceError:
    """The one place where an errno gets its meaning."""
    kind = _BY_ERRNO.get(error.errno or 0, SourceError)
    return kind(path, error.strerror or str(error))
