"""A stream lasts as long as its credential, and an agent whose token is replaced goes on with the new one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from agent.aggregator.admission import Admission, Admitted
from agent.aggregator.credentials import Guards
from agent.aggregator.identity import Identity
from agent.aggregator.intake import Intake
from agent.aggregator.listening import Address
from agent.aggregator.service import Service
from agent.aggregator.store import Store
from agent.aggregator.telemetry import Telemetry
from agent.aggregator.writer import Writer
from tests.aggregator import certificates
from tests.aggregator.agent_end import AgentEnd, Told, hello
from tests.aggregator.api_server import ApiServer, token
from tests.aggregator.running import Running, eventually, start_aggregator
from tests.peers.processes import Served, start_agent
from tests.unit.wire.batches import FAMILIES, block

BLOCKS = (block(FAMILIES[0], {(): 0.5}),)
LIFE_S = 0.5


class Briefly(Admission):
    """Lets everybody in, for a moment."""

    async def admit(self, auth: Any, metadata: Any) -> Admitted:
        return Admitted(Identity("prod", None), time.monotonic() + LIFE_S)


async def serve(data: Path, steps: Any) -> float:
    """What is counted of streams that have ended because their credential has."""
    store = Store(str(data), 86400.0)
    intake = Intake(store.load(time.time()))
    told = Telemetry(intake.views, store.size_bytes)
    service = Service(intake, told, Briefly("prod", False, None), bytes(16))
    writer = service.writer = Writer(intake, store, told, service.deliver, 86400.0)
    address = await service.start(Address("127.0.0.1", 0), Guards(None, False, False, None))
    writing = asyncio.create_task(writer.run())
    try:
        await asyncio.to_thread(steps, str(address))
    finally:
        writer.stop()
        await writing
        await service.stop()
        store.close()
    labels = {"reason": "expired"}
    return told.registry.get_sample_value("headroom_aggregator_streams_ended_total", labels) or 0.0


def test_a_stream_ends_with_its_credential(tmp_path: Path) -> None:
    """Cleanly: what was acknowledged stays so, the status is OK, and the next stream goes on from there."""

    def steps(target: str) -> None:
        told = Told()
        began_s = time.monotonic()
        with AgentEnd(target) as end:
            end.send(hello(told.listed())).welcome()
            end.send(told.header(BLOCKS), told.tick(BLOCKS)).acked(told, 1)
            assert end.end()[0] == grpc.StatusCode.OK
        assert LIFE_S <= time.monotonic() - began_s < 10 * LIFE_S
        with AgentEnd(target) as end:
            assert end.send(hello(told.listed())).welcome() == {(told.key.lane, 1): (1, False)}

    assert asyncio.run(serve(tmp_path / "data", steps)) == 1


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "tls"
    directory.mkdir()
    return certificates.make(directory, "server")


@pytest.fixture
def api(place: Path) -> Iterator[ApiServer]:
    with ApiServer(place) as one:
        yield one


@pytest.fixture
def running(tmp_path: Path, api: ApiServer) -> Iterator[Running]:
    flags = ("--cluster=prod", "--log.level=debug", *api.flags())
    with start_aggregator(tmp_path / "data", *flags, insecure=False) as one:
        yield one


class Projected:
    """A token's volume, as the kubelet keeps it: what is new is there at once, behind one link."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.file = place / "token"
        self._version = 0
        self.file.symlink_to("..data/token")

    def write(self, text: str) -> None:
        self._version += 1
        version = self.place / f"..{self._version}"
        version.mkdir()
        (version / "token").write_text(text)
        (self.place / "..new").symlink_to(version.name)
        os.replace(self.place / "..new", self.place / "..data")


@pytest.fixture
def volume(tmp_path: Path) -> Projected:
    directory = tmp_path / "volume"
    directory.mkdir()
    return Projected(directory)


def agent_of(running: Running, place: Path, volume: Projected, node: str = "worker-1") -> Served:
    names = ("--node-name", node, "--cluster", "prod", "--push.interval", "100ms")
    target = ("--push.target", running.grpc, "--push.tls-ca", f"{place}/ca.pem", "--push.token-file", str(volume.file))
    return start_agent(*names, *target, "--spool.dir", f"{place}/spool-{node}", "--log.level", "debug")


def asked(api: ApiServer) -> list[str]:
    return [document["spec"]["token"] for _, _, document in api.asked]


@pytest.mark.needs("openssl")
def test_an_agent_goes_on_with_its_next_token(running: Running, api: ApiServer, place: Path, volume: Projected) -> None:
    """When the kubelet has replaced the token the agent comes with the new one, long before the old one is over."""
    tokens = [token("worker-1", serial=number) for number in range(3)]
    volume.write(tokens[0])
    with agent_of(running, place, volume) as agent:
        for number, one in enumerate(tokens):
            volume.write(one)
            assert eventually(lambda one=one: one in asked(api))
            before = records(running)
            assert eventually(lambda before=before: records(running) > before + 3), number
        node = running.node("worker-1")
        assert (node["cluster"], node["state"], node["vanished"]) == ("prod", "live", [])
        assert [one for one in node["sessions"] if one["gaps"]] == []
        said = agent.log() + running.log()
    assert [one for one in tokens if one in said or one.split(".")[2] in said] == []


@pytest.mark.needs("openssl")
def test_an_agent_says_why_it_is_refused(running: Running, api: ApiServer, place: Path, volume: Projected) -> None:
    """The reason is in its own log; it tries on, and when it has a token that does, nothing is lost."""
    volume.write(token("worker-1", audience="vault"))
    with agent_of(running, place, volume) as agent:
        agent.wait_for(r"reason=refused .*UNAUTHENTICATED.*is invalid for the target audiences")
        volume.write(token("worker-1"))
        assert eventually(lambda: running.node("worker-1"))
        assert eventually(lambda: records(running) > 5)
        assert [one for one in running.node("worker-1")["sessions"] if one["gaps"]] == []


@pytest.mark.needs("openssl")
def test_an_agent_that_claims_another_node(running: Running, place: Path, volume: Projected) -> None:
    """It is told whose token it has."""
    volume.write(token("worker-1"))
    with agent_of(running, place, volume, "worker-2") as agent:
        agent.wait_for(r"PERMISSION_DENIED.*prod/worker-2.*prod/worker-1")
    assert running.json("/api/v1/nodes") == {"nodes": []}


@pytest.mark.parametrize("text", ["", "\n", "two words", "\x00"])
@pytest.mark.needs("openssl")
def test_a_token_file_without_a_token(tmp_path: Path, text: str) -> None:
    """The try ends with the file's name, before anything is sent."""
    from agent.push.transport import Security

    (tmp_path / "token").write_text(text)
    with pytest.raises(ValueError, match=f"{tmp_path}/token does not hold one token"):
        Security(ca_file="ca", token_file=f"{tmp_path}/token").metadata()


def records(running: Running) -> float:
    return running.metric('headroom_aggregator_records_total{result="taken"}')


@pytest.mark.slow
@pytest.mark.needs("openssl")
def test_an_agent_whose_token_is_not_replaced_in_time(
    running: Running, api: ApiServer, place: Path, volume: Projected
) -> None:
    """Its stream ends when the token does, and it is refused with the old one; with a new one it loses nothing."""
    volume.write(token("worker-1", life_s=70))
    with agent_of(running, place, volume) as agent:
        assert eventually(lambda: records(running) > 5)
        agent.wait_for(r"reason=refused .*service account token has expired", 90)
        assert running.metric('headroom_aggregator_streams_ended_total{reason="expired"}') == 1
        volume.write(token("worker-1"))
        before = records(running)
        assert eventually(lambda: records(running) > before + 5)
        assert [one for one in running.node("worker-1")["sessions"] if one["gaps"]] == []
