"""Which configuration is in force."""

from __future__ import annotations

import pytest

from agent.errors import Malformed
from agent.eviction.amounts import Amount
from agent.eviction.configuration import DEFAULT, EvictionConfig, choose, with_flags
from agent.sources.kubelet.config_file import parse_config_file
from agent.sources.kubelet.configz import parse_configz
from tests.kubelet.bodies import RECORDINGS, body

DEFAULTS = {
    ("memory.available", "hard"): "100Mi",
    ("allocatableMemory.available", "hard"): "100Mi",
    ("nodefs.available", "hard"): "10%",
    ("nodefs.inodesFree", "hard"): "5%",
    ("imagefs.available", "hard"): "15%",
    ("imagefs.inodesFree", "hard"): "5%",
}
FILE = b"apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"


def texts(config: EvictionConfig) -> dict[tuple[str, str], str]:
    """Every threshold as it is written."""
    return {(one.signal, one.kind): one.text for one in config.thresholds}


def reasons(errors: tuple[Malformed, ...]) -> list[str]:
    return [str(error) for error in errors]


def test_nobody_says_anything() -> None:
    """Then there is what a kubelet does by default on Linux."""
    config = choose(None, None)
    assert texts(config) == DEFAULTS
    assert config[1:] == (300.0, "default", ())


@pytest.mark.parametrize("recording", RECORDINGS)
def test_what_the_kubelet_answers_is_in_force(recording: str) -> None:
    """Whatever its file says and its flags say beside it."""
    configz = parse_configz(body(recording, "configz"))
    file = parse_config_file(FILE + b"evictionHard: {pid.available: 5%}\n")
    config = choose(configz, file, {"eviction-hard": "memory.available<7Gi"})
    soft = {("memory.available", "soft"): "21871Mi"} if recording == "memory-pressure" else {}
    assert texts(config) == DEFAULTS | soft
    assert (config.origin, config.refused) == ("configz", ())


def test_a_recorded_node_with_every_setting() -> None:
    """Grace, reclaim and transition; 10 % of its nodefs are 102070273 bytes."""
    config = choose(parse_configz(body("memory-pressure", "configz")), None)
    found = {(one.signal, one.kind): one for one in config.thresholds}
    assert found["memory.available", "soft"].grace_s == 60.0
    assert found["memory.available", "hard"].reclaim == Amount(200 << 20, None)
    assert found["allocatableMemory.available", "hard"].reclaim == Amount(200 << 20, None)
    assert found["nodefs.available", "hard"].quantity_of(1020702720) == 102070273
    assert config.transition_s == 30.0


def test_a_configz_without_thresholds_has_none() -> None:
    """The defaults would stand in it. A transition of 0 is what a flag can make of it."""
    config = choose(parse_configz(b'{"kubeletconfig": {"kind": "x", "evictionPressureTransitionPeriod": "0s"}}'), None)
    assert config == ((), 0.0, "configz", ())


def test_a_file_is_in_force_where_nobody_answers() -> None:
    """Any key of evictionHard switches the others off."""
    config = choose(None, parse_config_file(FILE + b"evictionHard: {pid.available: 5%}\n"))
    assert (texts(config), config.origin) == ({("pid.available", "hard"): "5%"}, "file")
    assert texts(choose(None, parse_config_file(FILE))) == DEFAULTS


def test_flags_win_over_the_file() -> None:
    """Each replaces its setting as a whole."""
    file = parse_config_file(FILE + b"evictionHard: {pid.available: 5%}\nevictionPressureTransitionPeriod: 1m\n")
    flags = {
        "eviction-hard": "memory.available<1Gi, nodefs.available<5%,",
        "eviction-soft": "memory.available<2Gi",
        "eviction-soft-grace-period": "memory.available=1m30s",
        "eviction-minimum-reclaim": "nodefs.available=500Mi",
        "eviction-pressure-transition-period": "0",
        "enforce-node-allocatable": "",
    }
    config = choose(None, file, flags)
    assert texts(config) == {
        ("memory.available", "hard"): "1Gi",
        ("memory.available", "soft"): "2Gi",
        ("nodefs.available", "hard"): "5%",
    }
    assert [one.grace_s for one in config.thresholds] == [0.0, 90.0, 0.0]
    assert config.thresholds[2].reclaim == Amount(500 << 20, None)
    assert config[1:] == (0.0, "file", ())


def test_an_empty_flag_switches_every_threshold_off() -> None:
    """``--eviction-hard=`` is how it is done; without a file that could be read, it counts as one."""
    config = choose(None, None, {"eviction-hard": ""})
    assert (config.thresholds, config.origin) == ((), "file")


@pytest.mark.parametrize("name", ["root-dir", "container-runtime-endpoint", "cgroup-root", "cgroup-driver"])
def test_other_flags_leave_the_defaults_in_force(name: str) -> None:
    """kubeadm gives every kubelet its runtime's endpoint: nobody has configured any threshold thereby."""
    config = choose(None, None, {name: "/x", "eviction-hard": "bad"})
    assert (texts(config), config.origin) == (DEFAULTS, "default")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("eviction-hard", "memory.available=1Gi", "pairs with '<' expected: 'memory.available=1Gi'"),
        ("eviction-soft-grace-period", "memory.available=soon", "such as 5m0s expected: 'soon'"),
        ("eviction-pressure-transition-period", "5", "such as 5m0s expected: '5'"),
    ],
)
def test_a_flag_that_cannot_be_read_is_told(name: str, value: str, reason: str) -> None:
    """The file's setting stands."""
    config, refused = with_flags(DEFAULT, {name: value})
    assert config == DEFAULT
    assert reasons(refused) == [f"--{name}: {reason}"]


@pytest.mark.parametrize("value", ["true", "1"])
def test_a_kubelet_may_be_told_to_leave_its_pods_limit_alone(value: str) -> None:
    """A flag only: neither the file nor configz has it."""
    configz = parse_configz(body("idle", "configz"))
    config = choose(configz, None, {"experimental-allocatable-ignore-eviction": value})
    assert texts(config) == {name: text for name, text in DEFAULTS.items() if name[0] != "allocatableMemory.available"}
    assert texts(choose(configz, None, {"experimental-allocatable-ignore-eviction": "false"})) == DEFAULTS


def test_refusals_are_passed_on() -> None:
    """Of flags first, then of thresholds."""
    file = parse_config_file(FILE + b"evictionHard: {memory.available: 200%}\n")
    assert reasons(choose(None, file, {"eviction-minimum-reclaim": "x"}).refused) == [
        "--eviction-minimum-reclaim: pairs with '=' expected: 'x'",
        "evictionHard: memory.available: between 0% and 100% expected: '200%'",
    ]
