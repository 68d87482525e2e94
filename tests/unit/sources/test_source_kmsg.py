"""Records of the kernel's log about processes killed for want of memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Gone
from agent.sources.kmsg import Kmsg, OomRecord, open_kmsg, parse_oom_record
from agent.sources.root import Root

RECORD = (
    b"6,1234,5678901,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=cri-containerd-ab.scope,"
    b"mems_allowed=0,oom_memcg=/kubepods.slice/kubepods-podx.slice,"
    b"task_memcg=/kubepods.slice/kubepods-podx.slice/cri-containerd-ab.scope,task=stress,pid=4242,uid=0\n"
    b" SUBSYSTEM=memory\n"
)


def test_a_record_says_who_was_killed() -> None:
    """The cgroup is the task's, not the one that was out of memory."""
    cgroup = "/kubepods.slice/kubepods-podx.slice/cri-containerd-ab.scope"
    assert parse_oom_record(RECORD) == OomRecord(cgroup, "stress", 4242)


def test_a_value_may_hold_commas() -> None:
    """mems_allowed=0-1,3 is one value, and what follows is still found."""
    record = RECORD.replace(b"mems_allowed=0", b"mems_allowed=0-1,3").replace(b"task=stress", b"task=a,b c")
    found = parse_oom_record(record)
    assert found is not None
    assert (found.command, found.pid) == ("a,b c", 4242)


@pytest.mark.parametrize("command", [",task_memcg=/x", ",pid=1,uid=0", "a,task=b", ",task=x,pid=7"])
def test_a_process_names_itself_and_nothing_else(command: str) -> None:
    """Anybody may call a process what he likes: it is not taken for another one, or for one of another pod."""
    found = parse_oom_record(RECORD.replace(b"task=stress", b"task=" + command.encode()))
    assert found == OomRecord("/kubepods.slice/kubepods-podx.slice/cri-containerd-ab.scope", command, 4242)


@pytest.mark.parametrize(
    "record",
    [
        b"6,1,1,-;Memory cgroup out of memory: Killed process 4242 (stress) total-vm:1kB",
        b"6,1,1,-;oom-kill:constraint=CONSTRAINT_NONE,task=x",
        RECORD.replace(b"pid=4242", b"pid=many"),
        RECORD.replace(b"pid=4242", b"pid=" + b"9" * 5000),
        b"",
    ],
)
def test_other_records_say_nothing(record: bytes) -> None:
    """What is about something else, or does not say whom, is passed over."""
    assert parse_oom_record(record) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(garbage: bytes) -> None:
    """Any bytes after the mark give a record or nothing, never an exception."""
    said = parse_oom_record(b"6,1,1,-;oom-kill:" + garbage)
    assert said is None or said.pid >= 0


def test_only_what_comes_after_it_was_opened_is_read(tmp_path: Path) -> None:
    """What the log held before is not news."""
    os.makedirs(tmp_path / "dev")
    (tmp_path / "dev" / "kmsg").write_bytes(RECORD)
    kmsg = Kmsg(Root(str(tmp_path)))
    assert kmsg.read() == []


def test_a_place_without_a_log_is_told(tmp_path: Path) -> None:
    """The reason comes back as a value: the watch goes on without."""
    assert isinstance(open_kmsg(Root(str(tmp_path))), Gone)
