"""``/flagz``."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.sources.kubelet.flagz import LINES_MAX, parse_flagz
from tests.kubelet.bodies import PLACE

HEAD = b"\nkubelet flagz\nWarning: This endpoint is not meant to be machine parseable.\n"


def recorded(node: str) -> bytes:
    return gzip.decompress((PLACE / node / "flagz.txt.gz").read_bytes())


@pytest.mark.parametrize("node", ["idle", "imagefs-is-nodefs"])
def test_the_flags_of_a_node(node: str) -> None:
    """The same of two processes, whose lines are ``name: value`` and ``name:value``."""
    flags = parse_flagz(recorded(node))
    assert len(flags) == 148
    assert flags["root-dir"] == "/var/lib/rig/nodefs/kubelet"
    assert flags["config"] == "/var/lib/rig/conf/kubelet.run.yaml"
    assert flags["config-dir"] == flags["eviction-hard"] == ""
    assert flags["storage-driver-host"] == "localhost:8086"
    assert flags["enforce-node-allocatable"] == "[pods]"
    assert "Warning" not in flags


@pytest.mark.parametrize("between", [b":", b": ", b"=", b" ", b" = ", b"\t"])
def test_what_is_between_name_and_value_does_not_matter(between: bytes) -> None:
    """Neither does what is in the value."""
    flags = parse_flagz(HEAD + b"a-b%s/x=y: z\nnone%s\r\nn%s-1\n" % (between, between, between))
    assert flags == {"a-b": "/x=y: z", "none": "", "n": "-1"}


@pytest.mark.parametrize(
    "buf",
    [
        b"",
        b"ok",
        b"404 page not found\n",
        b'{"kind": "Flagz", "flags": {"root-dir": "/x"}}',
        b"kube-proxy flagz\nroot-dir: /x\n",
        HEAD,
        HEAD + b"<html>\n",
        HEAD + b"--config=x\n",
        HEAD + b"a: b\n" * LINES_MAX,
    ],
)
def test_another_body_is_malformed(buf: bytes) -> None:
    """And so is one without flags."""
    with pytest.raises(Malformed, match="flagz"):
        parse_flagz(buf)


@given(
    st.binary()
    | st.lists(st.sampled_from([b"a", b"-", b":", b"=", b" ", b"\n", b"\xff", b"\0"])).map(
        lambda said: HEAD + b"".join(said)
    )
)
def test_any_bytes_are_flags_or_malformed(buf: bytes) -> None:
    """Never none."""
    try:
        flags = parse_flagz(buf)
    except Malformed:
        return
    assert flags
    assert all(name.isascii() for name in flags)
