"""The kubelet's configuration file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agent.errors import Gone, Malformed, SourceError
from agent.sources.host import Host
from agent.sources.kubelet.config_file import (
    DEFAULT_EVICTION_HARD,
    FILE_BYTES_MAX,
    FILES_MAX,
    merge_patch,
    parse_config_file,
    read_config_file,
)
from agent.sources.kubelet.configz import Configz, parse_configz
from agent.sources.kubelet.yaml_document import DEPTH_MAX, NODES_MAX, parse_yaml
from tests.kubelet.bodies import RECORDINGS, body, said

HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
JSON_HEAD = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}


def config(text: str) -> bytes:
    return (HEAD + text).encode()


def deep_json(depth: int) -> bytes:
    return json.dumps(JSON_HEAD)[:-1].encode() + b', "x": ' + b'{"x":' * depth + b"1" + b"}" * (depth + 1)


@pytest.mark.parametrize("recording", RECORDINGS)
def test_the_configuration_of_a_node_as_a_file(recording: str) -> None:
    """As YAML and as JSON it is what the kubelet shows."""
    shown = said(recording, "configz")["kubeletconfig"]
    expected = parse_configz(body(recording, "configz"))
    assert parse_config_file(json.dumps(shown).encode()) == expected
    assert parse_config_file(yaml.safe_dump(shown).encode()) == expected
    assert parse_config_file(b"\xef\xbb\xbf---\n" + yaml.safe_dump(shown, default_flow_style=True).encode()) == expected


def test_what_a_file_does_not_say_has_its_default() -> None:
    """As far as evictions depend on it; a transition of 0 is none."""
    for text in ("", "evictionHard: null\nenforceNodeAllocatable: ~\nevictionPressureTransitionPeriod: 0s\n"):
        read = parse_config_file(config(text))
        assert read.eviction_hard == DEFAULT_EVICTION_HARD
        assert read.enforce_node_allocatable == ("pods",)
        assert read.eviction_pressure_transition_s == 300.0
        assert (read.eviction_soft, read.cgroup_root) == ({}, "")


def test_a_kubelet_without_a_file_has_no_thresholds() -> None:
    """The defaults of evictionHard are those of its file."""
    assert parse_config_file(None).eviction_hard == {}
    assert parse_config_file(None).enforce_node_allocatable == ("pods",)


@pytest.mark.parametrize(
    ("text", "hard"),
    [
        ("evictionHard: {}", {}),
        ("evictionHard:\n  memory.available: 500Mi", {"memory.available": "500Mi"}),
        (
            "evictionHard: {memory.available: 500Mi, pid.available: 5%}\nmergeDefaultEvictionSettings: true",
            DEFAULT_EVICTION_HARD | {"memory.available": "500Mi", "pid.available": "5%"},
        ),
        ("mergeDefaultEvictionSettings: true\nevictionHard: {}", DEFAULT_EVICTION_HARD),
    ],
)
def test_any_key_switches_the_others_off_unless_they_are_merged(text: str, hard: dict[str, str]) -> None:
    """An empty evictionHard is one."""
    assert parse_config_file(config(text)).eviction_hard == hard


@pytest.mark.parametrize(
    ("dropped_in", "hard"),
    [
        (["evictionHard: {memory.available: 1Gi}"], DEFAULT_EVICTION_HARD | {"memory.available": "1Gi"}),
        (["evictionHard: {a: '1'}", "evictionHard: {a: '2'}"], DEFAULT_EVICTION_HARD | {"a": "2"}),
        (["evictionHard: null"], {}),
        (["evictionHard: null", "evictionHard: {pid.available: 5%}"], {"pid.available": "5%"}),
        ([], DEFAULT_EVICTION_HARD),
    ],
)
def test_what_is_dropped_in_is_merged_into_the_defaults(dropped_in: list[str], hard: dict[str, str]) -> None:
    """In order; null removes, and what it removes does not come back as a default."""
    assert parse_config_file(config(""), [config(text) for text in dropped_in]).eviction_hard == hard


def test_defaults_are_merged_for_the_file_only() -> None:
    """To drop in the setting that asks for it is too late."""
    dropped_in = [config("mergeDefaultEvictionSettings: true")]
    assert parse_config_file(config("evictionHard: {pid.available: 5%}"), dropped_in).eviction_hard == {
        "pid.available": "5%"
    }


def test_an_empty_list_of_the_file_is_lost_where_something_may_be_dropped_in() -> None:
    """An empty one that is dropped in is not."""
    nothing = config("enforceNodeAllocatable: []")
    assert parse_config_file(nothing).enforce_node_allocatable == ()
    assert parse_config_file(nothing, []).enforce_node_allocatable == ("pods",)
    assert parse_config_file(nothing, [nothing]).enforce_node_allocatable == ()


def test_merge_patch_is_that_of_rfc_7396() -> None:
    """Its example: objects are merged, lists and values replaced, null removes; the target stays as it was."""
    target = {"title": "Goodbye!", "author": {"givenName": "John", "familyName": "Doe"}, "tags": ["a"], "content": "x"}
    patch = {"title": "Hello!", "phoneNumber": "+0", "author": {"familyName": None}, "tags": ["b"], "x": {"y": None}}
    before = json.dumps(target)
    assert merge_patch(target, patch) == {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["b"],
        "content": "x",
        "phoneNumber": "+0",
        "x": {},
    }
    assert json.dumps(target) == before


def test_anchors_and_aliases_are_what_they_stand_for() -> None:
    """Texts and objects."""
    read = parse_config_file(config("cgroupRoot: &a /a\npodLogsDir: *a\nevictionSoft: &b {x: '1'}\nevictionHard: *b"))
    assert (read.cgroup_root, read.pod_logs_dir) == ("/a", "/a")
    assert read.eviction_soft == read.eviction_hard == {"x": "1"}


def test_the_parser_may_be_the_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was built without libyaml, everything reads the same."""
    monkeypatch.delattr(yaml, "CSafeLoader")
    shown = said("idle", "configz")["kubeletconfig"]
    assert parse_config_file(yaml.safe_dump(shown).encode()) == parse_configz(body("idle", "configz"))
    with pytest.raises(Malformed, match="nested deeper"):
        parse_yaml(b"[" * (1 << 20), "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-1", -1),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("5m0s", "5m0s"),
        ("10%", "10%"),
        ("1e3", 1000.0),
        ("yes", True),
        ("off", False),
        ("'off'", "off"),
        ("", None),
        ("~", None),
        ("''", ""),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("[a, {b: [1]}]", ["a", {"b": [1]}]),
        ("2026-11-21", "2026-11-21"),
        ("!!python/object/apply:os.abort []", []),
    ],
)
def test_a_value_of_yaml(text: str, value: object) -> None:
    """No tag makes anything but texts, lists and objects."""
    read = parse_yaml(b"null: " + text.encode(), "x")["null"]
    assert read == value
    assert type(read) is type(value)


def test_the_first_document_counts() -> None:
    """As for the kubelet."""
    assert parse_yaml(b"a: 1\n---\nb: 2\n", "x") == {"a": 1}


BOMB = b"a0: &a0 {x: y}\n" + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b"*a%d," % (n - 1) * 9) for n in range(1, 9))


@pytest.mark.parametrize(
    ("buf", "reason"),
    [
        (b"", "a YAML object expected"),
        (b"- a\n", "a YAML object expected"),
        (b"a: b: c\n", "not YAML"),
        (b"\xff\xfe", "not YAML"),
        (b"a: \x00\n", "not YAML"),
        (b"a: *b\n", "an alias without its anchor"),
        (b"a: &a [*a]\n", "an alias without its anchor"),
        (b"b: &b {x: 1}\na:\n  <<: *b\n", "a text for a name expected"),
        (b"? [a]\n: b\n", "a text for a name expected"),
        (BOMB, f"more than {NODES_MAX} values"),
        (b"a: [" + b"1," * NODES_MAX + b"]", f"more than {NODES_MAX} values"),
        (b"[" * (1 << 20), f"nested deeper than {DEPTH_MAX}|maximum nesting depth"),  # libyaml has a bound too
        (b"{a: " * (1 << 18), f"nested deeper than {DEPTH_MAX}"),
        (b"- " * (1 << 18), f"nested deeper than {DEPTH_MAX}"),
    ],
)
def test_what_is_no_object_of_yaml_is_malformed(buf: bytes, reason: str) -> None:
    """Within bounds of memory and time, in one line."""
    with pytest.raises(Malformed, match=reason) as caught:
        parse_yaml(buf, "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "buf",
    [
        b"{}",
        b"kind: KubeletConfiguration\n",
        b"apiVersion: v1\nkind: Pod\n",
        b"kind: []\napiVersion: {}\n",
        config("evictionHard: {memory.available: 100}"),
        config("evictionHard: []"),
        config("evictionSoftGracePeriod: {memory.available: soon}"),
        config("evictionPressureTransitionPeriod: 5"),
        config("mergeDefaultEvictionSettings: 1\nevictionHard: {}"),
        config("enforceNodeAllocatable: pods"),
        config("#" * FILE_BYTES_MAX),
        deep_json(500_000),
    ],
)
def test_another_document_is_malformed(buf: bytes) -> None:
    """A file that the kubelet would refuse too, or one that nobody writes."""
    with pytest.raises(Malformed) as caught:
        parse_config_file(buf)
    assert "\n" not in str(caught.value)


def test_nesting_costs_only_the_file() -> None:
    """It may be read at a depth where it can no longer be merged."""
    for depth in range(700, 1000, 5):
        try:
            assert parse_config_file(deep_json(depth), [deep_json(depth)]).eviction_hard == DEFAULT_EVICTION_HARD
        except Malformed:
            break
    else:
        pytest.fail("no depth was too deep")


NAMES = ["evictionHard", "evictionSoft", "evictionSoftGracePeriod", "enforceNodeAllocatable", "kubeReserved", "<<"]
PIECES = ["memory.available", "100Mi", "5m0s", "null", ": ", "- ", "? ", "&a ", "*a", *"{}[]'\n \t"]


VALUES = st.recursive(
    st.none() | st.text() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.binary()
    | st.lists(st.sampled_from([*NAMES, *PIECES])).map(lambda parts: config("".join(parts)))
    | st.dictionaries(st.sampled_from(NAMES), VALUES).map(lambda said: json.dumps({**JSON_HEAD, **said}).encode()),
    st.booleans(),
)
@example(b"{" + b"\xff", False)
def test_any_bytes_are_a_configuration_or_malformed(buf: bytes, twice: bool) -> None:
    """Nothing else is raised."""
    try:
        assert isinstance(parse_config_file(buf, [buf] if twice else None), Configz)
    except Malformed:
        return


@given(st.binary() | st.lists(st.sampled_from([*NAMES, *PIECES])).map(lambda parts: "".join(parts).encode()))
def test_any_bytes_are_an_object_or_malformed(buf: bytes) -> None:
    """Also without the head of a configuration."""
    try:
        assert isinstance(parse_yaml(buf, "x"), dict)
    except Malformed:
        return


def test_the_parser_is_loaded_only_for_yaml() -> None:
    """A file in JSON does without its memory."""
    code = "import sys; from agent.sources.kubelet.config_file import parse_config as p; p(sys.argv[1].encode()); "
    code += "print('yaml' in sys.modules)"
    for text, loaded in ((json.dumps(JSON_HEAD), "False\n"), (HEAD, "True\n")):
        done = subprocess.run(
            [sys.executable, "-c", code, text], capture_output=True, text=True, check=True, timeout=20
        )
        assert done.stdout == loaded


def test_the_files_of_the_node(make_host: Callable[..., Host]) -> None:
    """In the order of their names, in directories too; only ``*.conf``; links are followed below the host's root."""
    host = make_host(
        {
            "root/var/lib/kubelet/config.yaml": Path("/etc/real.yaml"),
            "root/etc/real.yaml": config("cgroupRoot: /base\npodLogsDir: /base"),
            "root/etc/conf.d/10-a.conf": config("cgroupRoot: /10"),
            "root/etc/conf.d/20-b/30.conf": config("cgroupRoot: /20/30\ncgroupDriver: systemd"),
            "root/etc/conf.d/20-b/99.yaml": b"not read",
            "root/etc/conf.d/25-c.conf": Path("/etc/25.target"),
            "root/etc/25.target": config("cgroupRoot: /25"),
        }
    )
    alone = read_config_file(host.rootfs, "/var/lib/kubelet/config.yaml")
    assert (alone.cgroup_root, alone.pod_logs_dir) == ("/base", "/base")
    merged = read_config_file(host.rootfs, "/var/lib/kubelet/config.yaml", "/etc/conf.d/")
    assert (merged.cgroup_root, merged.pod_logs_dir, merged.cgroup_driver) == ("/25", "/base", "systemd")
    assert merged.eviction_hard == DEFAULT_EVICTION_HARD
    assert read_config_file(host.rootfs, "", "/etc/conf.d").eviction_hard == {}
    assert read_config_file(host.rootfs, "") == parse_config_file(None)


def test_files_that_are_not_there_or_no_files(make_host: Callable[..., Host], tmp_path: Path) -> None:
    """Each is an error of its own; nothing is taken for an empty configuration."""
    host = make_host({"root/etc/a.yaml": config(""), "root/etc/large.yaml": config("#" * FILE_BYTES_MAX)})
    os.mkfifo(tmp_path / "root/etc/fifo")
    with pytest.raises(Gone, match=r"etc/missing\.yaml"):
        read_config_file(host.rootfs, "/etc/missing.yaml")
    with pytest.raises(Gone, match=r"conf\.d"):
        read_config_file(host.rootfs, "/etc/a.yaml", "/etc/conf.d")
    for path in ("/etc", "/etc/fifo", "/etc/large.yaml"):
        with pytest.raises(Malformed, match="a file of at most"):
            read_config_file(host.rootfs, path)


def test_more_files_than_anyone_drops_in(make_host: Callable[..., Host]) -> None:
    """They are not read."""
    host = make_host({f"root/d/{number}.conf": b"" for number in range(FILES_MAX + 1)})
    with pytest.raises(SourceError, match="more than 100 files"):
        read_config_file(host.rootfs, "", "/d")
    deep = make_host({"root/e" + "/e" * 9 + "/x.conf": b""})
    with pytest.raises(SourceError, match="too deep"):
        read_config_file(deep.rootfs, "", "/e")
