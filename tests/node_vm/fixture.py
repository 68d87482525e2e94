"""The fixture ``node_vm``: one booted machine for all tests of a run, started when the first one asks for it.

A directory of tests has it when its conftest.py imports it from here. What a test starts in it, the test removes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest

from tests.node_vm import build
from tests.node_vm.machine import Machine
from tests.tools import peers

AGENT_PORT: Final = 9910  # forwarded


@pytest.fixture(scope="session")
def node_vm() -> Iterator[Machine]:
    machine = _booted()
    yield machine
    machine.stop()


@cache
def _booted() -> Machine:
    """pytest takes the fixture of each conftest.py for another one; the machine is the same."""
    built = build.path()
    assert built is not None, "the test says that it needs node-vm"
    return Machine.boot(built, peers.cache() / "node-vm" / "runs", (AGENT_PORT,))
