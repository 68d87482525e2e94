"""Thresholds as the kubelet computes them."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.errors import Malformed
from agent.eviction.amounts import Amount, parse_limit, parse_percentage, parse_reclaim
from agent.eviction.signals import SIGNALS, Observation
from agent.eviction.thresholds import Layout, Threshold, met, parse_thresholds, with_containerfs

MIB = 1 << 20
NODEFS_BYTES = 1020702720  # of the node whose kubelet said that 10 % of it are 102070273


def hard(signal: str, text: str, **more: Any) -> Threshold:
    """What a valid evictionHard of one signal gives."""
    amount = parse_limit(text)
    assert amount is not None
    return Threshold(signal, "hard", *amount, text=text, **more)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("10%", 102070273),  # exactly 10 % would be 102070272
        ("15%", 153105414),
        ("5%", 51035136),
        ("60%", 612421656),
        ("0.5%", 5103513),
        ("10%%", 102070273),
        ("1e1%", 102070273),
        ("100.0%", 1020702720),
        ("0.0%", 0),
        ("100Mi", 100 * MIB),
        ("1k", 1000),
        ("0.5", 1),
        ("100m", 1),
    ],
)
def test_the_quantity_of_a_threshold(text: str, quantity: int) -> None:
    """A share is a float32, and its product is cut off; an amount that is not whole is met as the next whole one is."""
    assert hard("nodefs.available", text).quantity_of(NODEFS_BYTES) == quantity


def test_percentages_are_float32() -> None:
    """The numbers that a kubelet multiplies with."""
    assert parse_percentage("10%") == 0.10000000149011612
    assert parse_percentage("15%") == 0.15000000596046448
    assert parse_percentage("5%") == 0.05000000074505806
    assert parse_percentage("60%") == 0.6000000238418579


@given(st.integers(0, 10000).map(lambda hundredths: f"{hundredths / 100}"))
def test_every_percentage_is_the_nearest_float32(number: str) -> None:
    """Of the number first, then of its hundredth; nothing is left that a float32 does not hold."""

    def narrow(value: float) -> float:
        return float(struct.unpack("f", struct.pack("f", value))[0])

    percentage = parse_percentage(f"{number}%")
    assert percentage == narrow(narrow(float(number)) / 100) == narrow(percentage)


@given(st.text("0123456789.eE+-%KMGi ", max_size=12) | st.text())
@example("1e39%")
@example("1e999%")
@example("nan%")
@example("inf%")
@example("1_0%")
@example("٣%")
def test_any_text_is_a_threshold_or_malformed(text: str) -> None:
    """One that is not ignored has either an amount above 0 or a share up to all."""
    for parse in (parse_limit, parse_reclaim):
        try:
            amount = parse(text)
        except Malformed:
            continue
        if amount is None:
            assert text in ("0%", "100%")
            continue
        assert (amount.quantity is None) != (amount.percentage is None)
        assert amount.quantity_of(NODEFS_BYTES) >= 0
        if parse is parse_limit:
            assert amount.percentage is None or 0 <= amount.percentage <= 1
            assert amount.quantity is None or amount.quantity > 0


@given(
    st.dictionaries(st.sampled_from(sorted(SIGNALS)) | st.text(), st.text("0123456789%Mi-", max_size=5) | st.text()),
    st.dictionaries(st.sampled_from(sorted(SIGNALS)) | st.text(), st.floats(-1, 1e9)),
)
def test_any_setting_is_thresholds_and_refusals(texts: dict[str, str], graces: dict[str, float]) -> None:
    """Nothing is raised, no (signal, kind) is there twice, and every refusal is one line."""
    parsed = parse_thresholds(texts, texts, graces, texts, ("pods",))
    names = [(one.signal, one.kind) for one in parsed.thresholds]
    assert len(names) == len(set(names))
    assert all("\n" not in str(error) for error in parsed.refused)


@pytest.mark.parametrize("text", ["0%", "100%"])
def test_nothing_and_all_switch_a_threshold_off(text: str) -> None:
    """It is ignored, not refused."""
    assert parse_thresholds({"memory.available": text}) == ((), ())


@pytest.mark.parametrize(
    ("signal", "text", "reason"),
    [
        ("memory.available", "0", "memory.available: more than 0 expected: '0'"),
        ("memory.available", "-100Mi", "memory.available: more than 0 expected: '-100Mi'"),
        ("memory.available", "-0.5", "memory.available: more than 0 expected: '-0.5'"),
        ("memory.available", "-1%", "memory.available: between 0% and 100% expected: '-1%'"),
        ("memory.available", "100.1%", "memory.available: between 0% and 100% expected: '100.1%'"),
        ("memory.available", "ten%", "memory.available: such as 10% expected: 'ten%'"),
        ("memory.available", "%", "memory.available: such as 10% expected: '%'"),
        ("memory.available", "100MB", "memory.available: such as 100m or 1Gi expected: '100MB'"),
        ("swap.available", "1Gi", "no signal of the kubelet: 'swap.available'"),
        ("memory\navailable", "1Gi", r"no signal of the kubelet: 'memory\navailable'"),
        ("containerfs.available", "5%", "containerfs.available is ignored: it cannot be configured"),
        ("containerfs.inodesFree", "5%", "containerfs.inodesFree is ignored: it cannot be configured"),
    ],
)
def test_what_is_refused_is_told_and_the_others_stand(signal: str, text: str, reason: str) -> None:
    """One line for each, that names the setting and the signal."""
    parsed = parse_thresholds({signal: text, "nodefs.available": "10%"})
    assert parsed.thresholds == (hard("nodefs.available", "10%"),)
    assert [str(error) for error in parsed.refused] == [f"evictionHard: {reason}"]


def test_a_soft_threshold_has_its_grace() -> None:
    """Beside a hard one of the same signal."""
    parsed = parse_thresholds({"memory.available": "100Mi"}, {"memory.available": "1Gi"}, {"memory.available": 90.0})
    assert parsed.thresholds == (
        hard("memory.available", "100Mi"),
        Threshold("memory.available", "soft", 1 << 30, None, 90.0, None, "1Gi"),
    )
    assert parsed.refused == ()


@pytest.mark.parametrize(
    ("graces", "reasons"),
    [
        ({}, ["evictionSoft: memory.available has no evictionSoftGracePeriod"]),
        ({"nodefs.available": 60.0}, ["evictionSoft: memory.available has no evictionSoftGracePeriod"]),
        ({"memory.available": -1.0}, ["evictionSoftGracePeriod: memory.available: a negative one: '-1 s'"]),
        (
            {"memory.free": 1.0},
            [
                "evictionSoftGracePeriod: no signal of the kubelet: 'memory.free'",
                "evictionSoft: memory.available has no evictionSoftGracePeriod",
            ],
        ),
    ],
)
def test_a_soft_threshold_without_grace_is_refused(graces: dict[str, float], reasons: list[str]) -> None:
    """As the kubelet refuses it; a grace period of 0 is one."""
    parsed = parse_thresholds({}, {"memory.available": "1Gi"}, graces)
    assert ([*map(str, parsed.refused)], parsed.thresholds) == (reasons, ())


def test_a_grace_of_nothing_is_a_grace_and_one_without_a_threshold_says_nothing() -> None:
    """The kubelet takes both."""
    parsed = parse_thresholds({}, {"pid.available": "10%"}, {"pid.available": 0.0, "memory.available": 60.0})
    assert [(one.signal, one.kind, one.grace_s) for one in parsed.thresholds] == [("pid.available", "soft", 0.0)]
    assert parsed.refused == ()


def test_the_minimum_reclaim_is_of_hard_and_soft() -> None:
    """Absolute or a share; the share is of the capacity and may be more than all of it. One alone says nothing."""
    reclaims = {"memory.available": "200Mi", "nodefs.available": "150%", "pid.available": "0"}
    parsed = parse_thresholds(
        {"memory.available": "100Mi", "nodefs.available": "10%"},
        {"memory.available": "1Gi"},
        {"memory.available": 1.0},
        reclaims,
    )
    assert [one.reclaim for one in parsed.thresholds] == [Amount(200 * MIB, None)] * 2 + [Amount(None, 1.5)]
    assert parsed.refused == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [("-1", "a negative one: '-1'"), ("0%", "more than 0% expected: '0%'"), ("-5%", "more than 0% expected: '-5%'")],
)
def test_a_wrong_minimum_reclaim_costs_only_itself(text: str, reason: str) -> None:
    """Its threshold stands, without it."""
    parsed = parse_thresholds({"memory.available": "100Mi"}, minimum_reclaim={"memory.available": text})
    assert parsed.thresholds == (hard("memory.available", "100Mi"),)
    assert [str(error) for error in parsed.refused] == [f"evictionMinimumReclaim: memory.available: {reason}"]


def test_a_threshold_is_met_below_it() -> None:
    """Strictly: as much as the threshold is enough."""
    threshold = hard("memory.available", "100Mi")
    assert not met(threshold, Observation(100 * MIB, 1 << 30, None))
    assert met(threshold, Observation(100 * MIB - 1, 1 << 30, None))


@pytest.mark.parametrize(("reclaim", "enough"), [("200Mi", 300 * MIB), ("10%", 100 * MIB + 107374184)])
def test_one_that_was_met_stays_met_until_its_reclaim_is_free(reclaim: str, enough: int) -> None:
    """And one that was not is not met by it."""
    threshold = hard("memory.available", "100Mi", reclaim=parse_reclaim(reclaim))
    assert met(threshold, Observation(enough - 1, 1 << 30, None), was_met=True)
    assert not met(threshold, Observation(enough, 1 << 30, None), was_met=True)
    assert not met(threshold, Observation(enough - 1, 1 << 30, None), was_met=False)


def test_pods_have_the_hard_memory_threshold_where_they_are_enforced() -> None:
    """The same value and reclaim; a soft one is not copied."""
    arguments = ({"memory.available": "100Mi"}, {"memory.available": "1Gi"}, {"memory.available": 1.0})
    enforced = parse_thresholds(*arguments, {"memory.available": "1Mi"}, ("kube-reserved", "pods"))
    assert [(one.signal, one.kind, one.text, one.reclaim) for one in enforced.thresholds] == [
        ("memory.available", "hard", "100Mi", Amount(MIB, None)),
        ("memory.available", "soft", "1Gi", Amount(MIB, None)),
        ("allocatableMemory.available", "hard", "100Mi", Amount(MIB, None)),
    ]
    assert len(parse_thresholds(*arguments, {}, ("none",)).thresholds) == 2
    assert parse_thresholds({"nodefs.available": "10%"}, enforced=("pods",)).thresholds == (
        hard("nodefs.available", "10%"),
    )


def test_a_threshold_for_pods_that_is_there_twice_is_told() -> None:
    """The configured one is kept."""
    parsed = parse_thresholds({"memory.available": "100Mi", "allocatableMemory.available": "1Gi"}, enforced=("pods",))
    assert parsed.thresholds == (hard("memory.available", "100Mi"), hard("allocatableMemory.available", "1Gi"))
    assert "allocatableMemory.available is a duplicate" in str(parsed.refused[0])


@pytest.mark.parametrize(
    ("layout", "available", "inodes"), [("single", "10%", "5%"), ("split", "10%", "5%"), ("dedicated", "15%", "4%")]
)
def test_containerfs_has_the_thresholds_of_the_filesystem_it_is_on(layout: Layout, available: str, inodes: str) -> None:
    """Hard and soft, with their reclaim; asking twice changes nothing."""
    signals = {"nodefs.available": "10%", "nodefs.inodesFree": "5%"}
    signals |= {"imagefs.available": "15%", "imagefs.inodesFree": "4%"}
    soft = {"nodefs.available": "20%", "imagefs.available": "20%"}
    reclaims = {"nodefs.available": "1Gi", "imagefs.available": "1Gi"}
    thresholds = parse_thresholds(signals, soft, dict.fromkeys(soft, 9.0), reclaims).thresholds
    derived = with_containerfs(thresholds, layout)
    assert [(one.signal, one.kind, one.text, one.grace_s, one.reclaim) for one in derived[-3:]] == [
        ("containerfs.available", "hard", available, 0.0, Amount(1 << 30, None)),
        ("containerfs.available", "soft", "20%", 9.0, Amount(1 << 30, None)),
        ("containerfs.inodesFree", "hard", inodes, 0.0, None),
    ]
    assert derived[:-3] == thresholds
    assert with_containerfs(derived, layout) == derived


def test_containerfs_has_none_where_there_is_none() -> None:
    """A filesystem without thresholds gives none."""
    thresholds = parse_thresholds({"nodefs.available": "10%", "memory.available": "100Mi"}).thresholds
    assert with_containerfs(thresholds, "dedicated") == thresholds
