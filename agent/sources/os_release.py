"""``os-release``: which distribution the node runs.

Source: <rootfs>/etc/os-release, else <rootfs>/usr/lib/os-release, os-release(5). Since: systemd 0.
Shape: shell assignments, ``VERSION_ID="12"``; ``#`` starts a comment line. Units: SUPPORT_END is a date, YYYY-MM-DD.
Errors: Gone when neither is there, Malformed. Cost: 15 us to see that it is unchanged; the first is mostly a
symbolic link, which must not lead out of the node's tree into ours.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from agent.errors import Gone, Malformed, from_oserror
from agent.sources.root import Root

PLACES: Final = ("etc/os-release", "usr/lib/os-release")
_QUOTES: Final = "\"'"
_ESCAPABLE: Final = '"\\$`'  # what a backslash takes its meaning from between double quotes


class OsRelease(NamedTuple):
    """Empty where the file does not say."""

    build_id: str = ""
    id: str = ""
    id_like: str = ""
    image_id: str = ""
    image_version: str = ""
    name: str = ""
    pretty_name: str = ""
    variant: str = ""
    variant_id: str = ""
    version: str = ""
    version_codename: str = ""
    version_id: str = ""
    support_end: str = ""


class Edition(NamedTuple):
    """A file as it is now: it was replaced or rewritten if any of this differs."""

    path: str
    device: int
    inode: int
    size_bytes: int
    modified_ns: int


def parse_os_release(buf: bytes) -> OsRelease:
    """The assignments that OsRelease knows; of several to one name the last counts."""
    said = {}
    for line in buf.decode("utf-8", "replace").split("\n"):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, assigned, value = line.partition("=")
        if not assigned:
            raise Malformed("os-release", "'NAME=value' expected", line)
        said[name.lower()] = value
    return OsRelease(**{name: _unquoted(said[name]) for name in OsRelease._fields if name in said})


def _unquoted(text: str) -> str:
    """The value as a shell would give it."""
    parts: list[str] = []
    quote, letters = "", iter(text)
    for letter in letters:
        if letter == quote:
            quote = ""
        elif not quote and letter in _QUOTES:
            quote = letter
        elif letter == "\\" and quote != "'":
            following = next(letters, "")
            parts.append(following if not quote or following in _ESCAPABLE else letter + following)
        else:
            parts.append(letter)
    if quote:
        raise Malformed("os-release", f"unclosed {quote}", text)
    return "".join(parts)


def find_os_release(rootfs: Root) -> Edition:
    """The file that counts, in its present edition."""
    for place in PLACES:
        path = rootfs.resolve(place)
        try:
            st = os.lstat(rootfs / path)
        except OSError as error:
            failure = from_oserror(error, rootfs / path)
            if not isinstance(failure, Gone):
                raise failure from None
            continue
        return Edition(path, st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns)
    raise Gone(rootfs / PLACES[0], f"nor is there {PLACES[1]}")


def read_os_release(rootfs: Root, edition: Edition) -> OsRelease:
    return parse_os_release(rootfs.read_once(edition.path))
