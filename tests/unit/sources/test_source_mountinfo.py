"""``/proc/<pid>/mountinfo``."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed
from agent.sources.host import Host
from agent.sources.mountinfo import Mount, is_read_only, parse_mountinfo, read_mountinfo, unescape

LINE = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"


def test_a_line_is_a_mount() -> None:
    """However many optional fields there are before the hyphen, also none."""
    mount = Mount("98", "0", "/mnt2", "ext3", "/dev/root", False)
    assert parse_mountinfo(LINE) == [mount]
    assert parse_mountinfo(LINE.replace(b" master:1 shared:7", b"")) == [mount]


def test_a_mount_may_have_no_source() -> None:
    """Its name is empty then, and two blanks follow each other."""
    (mount,) = parse_mountinfo(b"36 35 0:9 / /a rw - tmpfs  rw\n")
    assert (mount.device, mount.fs_type) == ("", "tmpfs")


def test_super_options_may_hold_blanks() -> None:
    """Some filesystems forget to escape them; the last field is whatever is left."""
    (mount,) = parse_mountinfo(b"36 35 0:9 / /a rw - 9p share rw,trans=fd of x,ro\n")
    assert (mount.device, mount.read_only) == ("share", True)


@pytest.mark.parametrize(
    ("options", "super_options", "read_only"),
    [
        (b"rw,relatime", b"rw", False),
        (b"ro,relatime", b"rw", True),
        (b"rw,relatime", b"ro,errors=remount-ro", True),
        (b"rw,relatime", b"rw,errors=remount-ro", False),
        (b"rw,relatime", b"rw,emergency_ro", True),
        (b"rw,root=x", b"rw,mode=ro", False),
    ],
)
def test_read_only_is_an_option_of_the_mount_or_of_the_filesystem(
    options: bytes, super_options: bytes, read_only: bool
) -> None:
    """A whole word of either list."""
    assert is_read_only(options, super_options) is read_only


@pytest.mark.parametrize(
    ("escaped", "path"),
    [
        (rb"/a\040b\011c", b"/a b\tc"),
        (rb"/back\134slash\012", b"/back\\slash\n"),
        (rb"/\134040", rb"/\040"),
        (rb"/no\escape\8", rb"/no\escape\8"),
        (rb"/too\777big", rb"/too\777big"),
        (rb"/end\04", rb"/end\04"),
    ],
)
def test_octal_escapes_in_mount_points_are_undone(escaped: bytes, path: bytes) -> None:
    """Exactly the kernel's; anything else stays as it is."""
    assert unescape(escaped) == path


@given(st.binary())
def test_what_the_kernel_escapes_is_undone(path: bytes) -> None:
    """Whatever the path."""
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes((byte,)) for byte in path)
    assert unescape(escaped) == path


def test_a_mount_point_that_is_no_text_is_still_a_path() -> None:
    """Its bytes come back when the kernel is asked for it."""
    (mount,) = parse_mountinfo(b"36 35 0:9 / /\xff rw - tmpfs t rw\n")
    assert os.fsencode(mount.mount_point) == b"/\xff"


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace(b" - ", b" "),
        LINE.replace(b"98:0", b"98"),
        b"36 35 98:0 /mnt1 - ext3 /dev/root rw\n",
        b"36 35 98:0 / /mnt2 rw - ext3 /dev/root\n",
        LINE[:20],
    ],
)
def test_a_line_that_is_not_one_is_malformed(line: bytes) -> None:
    """A mount that cannot be read is not left out in silence."""
    with pytest.raises(Malformed, match="mountinfo"):
        parse_mountinfo(LINE + line)


@given(st.binary() | st.lists(st.sampled_from([*LINE.split(b" "), b"\n", b"-", b"\xff"])).map(b" ".join))
def test_any_bytes_give_mounts_or_malformed(buf: bytes) -> None:
    """Nothing else is raised; a mount's texts can be shown."""
    try:
        mounts = parse_mountinfo(buf)
    except Malformed:
        return
    assert all((mount.device + mount.fs_type).encode() is not None for mount in mounts)


def test_our_own_mounts_serve_where_the_nodes_are_hidden(make_host: Callable[..., Host]) -> None:
    """PID 1's are read where they can be."""
    procfs = make_host({"proc/self/mountinfo": b"ours"}).procfs
    assert read_mountinfo(procfs) == (b"ours", True)
    assert read_mountinfo(make_host({"proc/1/mountinfo": b"the node's"}).procfs) == (b"the node's", False)


def test_no_mounts_at_all_is_gone(make_host: Callable[..., Host]) -> None:
    """The error names the file that was tried last."""
    with pytest.raises(Gone, match="self/mountinfo"):
        read_mountinfo(make_host({}).procfs)
