"""The kubelet's process and its flags."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Unsupported
from agent.sources.host import Host
from agent.sources.kubelet.command_line import KNOWN, KubeletProcess, find_kubelet, is_running, parse_command_line

Files = dict[str, str | bytes]


def command_line(*words: str) -> bytes:
    return b"".join(word.encode() + b"\0" for word in ("/usr/bin/kubelet", *words))


def process(pid: int, command: str, words: tuple[str, ...] = (), start_ticks: int = 100, ns_pids: str = "") -> Files:
    """Its files. ``ns_pids`` is what NSpid says; empty for a kernel before 4.1."""
    stat = f"{pid} ({command}) S 1 1 1 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 9 0 {start_ticks} 1000 50" + " 0" * 28
    return {
        f"proc/{pid}/comm": f"{command}\n",
        f"proc/{pid}/stat": stat + "\n",
        f"proc/{pid}/status": f"Name:\t{command}\nPid:\t{pid}\n" + (f"NSpid:\t{ns_pids}\n" if ns_pids else ""),
        f"proc/{pid}/cmdline": command_line(*words),
    }


INIT = process(1, "systemd")


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ((), {}),
        (("--config=/a=b", "--root-dir", "/c"), {"config": "/a=b", "root-dir": "/c"}),
        (("--config", "--odd"), {"config": "--odd"}),
        (("--config=",), {"config": ""}),
        (("--config",), {"config": ""}),
        (("--config=/a", "--config=/b"), {"config": "/b"}),
        (("--root_dir=/a",), {"root-dir": "/a"}),
        (("-v", "4", "--v=2", "--config=/a", "-config=/b"), {"config": "/a"}),
        (("--fail-swap-on", "--config=/a"), {"config": "/a"}),
        (("--max-pods", "5", "--config", "/a"), {"config": "/a"}),
        (("--config=/a", "--", "--root-dir=/b"), {"config": "/a"}),
        (("--eviction-hard=a<1,b<2", "--eviction-hard", "c<3"), {"eviction-hard": "a<1,b<2,c<3"}),
        (("--eviction-hard=",), {"eviction-hard": ""}),
        (
            ("--experimental-allocatable-ignore-eviction", "--config=/a"),
            {"experimental-allocatable-ignore-eviction": "true", "config": "/a"},
        ),
        (
            ("--experimental-allocatable-ignore-eviction=false",),
            {"experimental-allocatable-ignore-eviction": "false"},
        ),
        (("--tls-private-key-file=/secret", "--node-ip=::1,10.0.0.1"), {"node-ip": "::1,10.0.0.1"}),
    ],
)
def test_flags_are_read_as_the_kubelet_reads_them(words: tuple[str, ...], flags: dict[str, str]) -> None:
    """With ``=`` or in the next word, the last one wins, a list grows; what nobody needs is not kept."""
    assert parse_command_line(command_line(*words)) == flags


@given(
    st.binary()
    | st.lists(st.sampled_from([b"--", b"config", b"=", b"eviction-hard", b"\0", b"-", b"_", b"\xff", b"x"])).map(
        b"".join
    )
)
def test_any_bytes_are_a_command_line(buf: bytes) -> None:
    """Of which only known flags are kept."""
    assert parse_command_line(buf).keys() <= KNOWN


def test_the_kubelet_is_found_by_its_command(make_host: Callable[..., Host]) -> None:
    """Among others, and with its flags."""
    host = make_host(
        INIT | process(7, "kubelet-wrapper") | process(20, "kubelet", ("--config=/a",), 4711, "20") | process(21, "k3s")
    )
    assert find_kubelet(host.procfs) == KubeletProcess(20, 4711, {"config": "/a"})


def test_a_kubelet_inside_another_program_is_not_found(make_host: Callable[..., Host]) -> None:
    """Its flags are not those of the program."""
    assert find_kubelet(make_host(INIT | process(20, "k3s-server", ("server", "--config=/a"))).procfs) is None


def test_the_kubelet_of_a_node_in_a_container_is_another_nodes(make_host: Callable[..., Host]) -> None:
    """It has a second PID, in a namespace of its own."""
    nested = process(20, "kubelet", ("--config=/nested",), ns_pids="20\t77")
    assert find_kubelet(make_host(INIT | nested).procfs) is None
    found = find_kubelet(make_host(process(30, "kubelet", ("--config=/a",), ns_pids="30")).procfs)
    assert found == KubeletProcess(30, 100, {"config": "/a"})


def test_one_that_is_ending_is_passed_over(make_host: Callable[..., Host]) -> None:
    """Its command line is empty, or its directory is gone while it is read."""
    zombie = process(20, "kubelet") | {"proc/20/cmdline": b""}
    ended = {"proc/21/comm": "kubelet\n"}
    found = find_kubelet(make_host(INIT | zombie | ended | process(22, "kubelet", (), 9)).procfs)
    assert found == KubeletProcess(22, 9, {})


def test_a_procfs_that_hides_processes_tells_nothing(make_host: Callable[..., Host]) -> None:
    """Then that there is no kubelet means nothing."""
    with pytest.raises(Unsupported, match="hides"):
        find_kubelet(make_host(process(20, "kubelet")).procfs)


def test_a_process_is_still_the_same_or_not(make_host: Callable[..., Host]) -> None:
    """A restarted kubelet may get the same PID; another program too."""
    procfs = make_host(INIT | process(20, "kubelet", (), 4711)).procfs
    found = find_kubelet(procfs)
    assert found is not None
    assert is_running(procfs, found)
    make_host(process(20, "kubelet", (), 4712))
    assert not is_running(procfs, found)
    make_host(process(20, "kubelet2", (), 4711))
    assert not is_running(procfs, found)
    assert not is_running(procfs, found._replace(pid=21))
