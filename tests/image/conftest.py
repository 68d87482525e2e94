"""The image is built once for all tests of a run, of this working tree, without network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.image import building
from tests.image.building import Built
from tests.kubelet.conftest import certificates
from tests.node_vm.fixture import node_vm

__all__ = ["certificates", "node_vm"]


@pytest.fixture(scope="session")
def built() -> Iterator[Built]:
    with building.built() as made:
        yield made
