"""The recorded nodes, unpacked once; tests that change one unpack their own."""

from __future__ import annotations

import pytest

from tests.contract.collecting import open_node
from tests.tools.golden import NODES
from tests.tools.recorded import Node


@pytest.fixture(scope="session", params=NODES, ids=lambda recorded: recorded.name)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Node, dict[str, str]]:
    """Each recorded node in turn, to be read only."""
    return open_node(request.param, tmp_path_factory)
