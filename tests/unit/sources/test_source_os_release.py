"""``os-release``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.os_release import OsRelease, find_os_release, parse_os_release, read_os_release

DEBIAN = b"""\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
"""
LIKE_OS_RELEASE = st.text("ID=NAME\"'\\# \n$x")


def test_debian_is_read_and_what_it_does_not_say_is_empty() -> None:
    """Quoted and bare values; keys that are not ours are passed over."""
    assert parse_os_release(DEBIAN) == OsRelease(
        id="debian",
        name="Debian GNU/Linux",
        pretty_name="Debian GNU/Linux 12 (bookworm)",
        version="12 (bookworm)",
        version_codename="bookworm",
        version_id="12",
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NAME=Arch", "Arch"),
        ("  NAME = Arch", ""),
        ("NAME='Arch \"Linux\"'", 'Arch "Linux"'),
        (r'NAME="a \"b\" \\ \$ \` \n"', r'a "b" \ $ ` \n'),
        (r"NAME='a\b'", r"a\b"),
        (r"NAME=a\ b", "a b"),
        ("NAME=a'b'\"c\"", "abc"),
        ("NAME=", ""),
        ('NAME=""', ""),
        ("NAME=first\nNAME=second", "second"),
        ("# NAME=commented\n\n  \nNAME=Arch\r\n", "Arch"),
        ("NAME=A=B", "A=B"),
        ("NAME=a\u2028b", "a\u2028b"),
    ],
)
def test_values_are_as_a_shell_would_give_them(text: str, name: str) -> None:
    """Quotes, escapes, comments, repetition."""
    assert parse_os_release(text.encode()).name == name


def test_bytes_that_are_not_utf8_cost_only_themselves() -> None:
    """They are shown as replaced, because a label must be UTF-8."""
    assert parse_os_release(b"NAME=\xff\nID=x\n")[:6] == ("", "x", "", "", "", "\ufffd")


@pytest.mark.parametrize("buf", [b'NAME="Arch', b"NAME='Arch\"", b"\x7fELF", b'NAME="Arch"\nID'])
def test_what_is_not_assignments_is_malformed(buf: bytes) -> None:
    """An unclosed quote, or a line without =."""
    with pytest.raises(Malformed):
        parse_os_release(buf)


@given(st.binary() | LIKE_OS_RELEASE.map(str.encode))
def test_any_bytes_give_a_struct_or_malformed(buf: bytes) -> None:
    """No other exception escapes."""
    try:
        assert isinstance(parse_os_release(buf), OsRelease)
    except Malformed:
        pass


def test_etc_comes_before_usr_lib(make_host: Callable[..., Host]) -> None:
    """The second is looked at only without the first."""
    host = make_host({"root/usr/lib/os-release": "ID=vendor\n"})
    edition = find_os_release(host.rootfs)
    assert read_os_release(host.rootfs, edition).id == "vendor"
    make_host({"root/etc/os-release": "ID=admin\n"})
    edition = find_os_release(host.rootfs)
    assert read_os_release(host.rootfs, edition).id == "admin"


@pytest.mark.parametrize("target", ["/usr/lib/os-release", "../usr/lib/os-release", "../../../../usr/lib/os-release"])
def test_links_are_followed_inside_the_tree(make_host: Callable[..., Host], target: str) -> None:
    """An absolute link, or one that climbs, must not end at our own file."""
    host = make_host({"root/etc/os-release": Path(target), "root/usr/lib/os-release": "ID=the-node\n"})
    edition = find_os_release(host.rootfs)
    assert edition.path == "usr/lib/os-release"
    assert read_os_release(host.rootfs, edition).id == "the-node"


def test_a_node_without_either_is_gone(make_host: Callable[..., Host]) -> None:
    """A link to nowhere counts as missing."""
    with pytest.raises(Gone, match="etc/os-release"):
        find_os_release(make_host({"root/etc/os-release": Path("nowhere")}).rootfs)


def test_a_rewritten_file_is_another_edition(make_host: Callable[..., Host]) -> None:
    """An unchanged one is the same."""
    host = make_host({"root/etc/os-release": "ID=old\n"})
    before = find_os_release(host.rootfs)
    assert find_os_release(host.rootfs) == before
    make_host({"root/etc/os-release": "ID=newer\n"})
    assert find_os_release(host.rootfs) != before
