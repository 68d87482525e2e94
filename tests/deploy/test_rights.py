"""What docs/security.md says of users and capabilities, tried: who sees a filesystem below a closed directory."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.processes import AGENT_SERVING, REPOSITORY
from tests.peers.test_pod import NAMESPACES, Pod

pytestmark = pytest.mark.needs("root", "netns")
NOBODY, ROOT, SOMEBODY = "65534", "0", 1234
CLOSED = {"of-root": 0, "of-somebody": SOMEBODY}


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Anyone may come this far, unlike pytest's own directories."""
    with tempfile.TemporaryDirectory(prefix="headroom-rights-") as place:
        os.chmod(place, 0o755)
        yield Path(place)


@pytest.mark.parametrize(
    ("user", "capabilities", "seen"),
    [
        (NOBODY, "-all", set()),
        (NOBODY, "-all,+dac_read_search", set()),  # in a pod only root has what is added
        (ROOT, "-all", {"of-root"}),
        (ROOT, "-all,+dac_read_search", {"of-root", "of-somebody"}),
    ],
    ids=["nobody", "nobody with the capability", "root without any", "root with it"],
)
def test_who_sees_what_is_mounted_below_closed_directories(
    scratch: Path, user: str, capabilities: str, seen: set[str]
) -> None:
    """One directory is closed by root and one by somebody. What is not seen is told as a device error: it is neither
    left out nor 0."""
    (scratch / "pod").mkdir()
    place = scratch / "place"
    for name, owner in CLOSED.items():
        (place / name / "mounted").mkdir(parents=True)
        os.chown(place / name, owner, owner)
        os.chmod(place / name, 0o700)
    agent = ("agent.cli", "agent", "--listen=127.0.0.1:0", "--collector.disable-defaults", "--collector.filesystem")
    module = ("-m", "tests.deploy.rights", f"{scratch}/pod", str(place), user, capabilities)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with Pod((*NAMESPACES, sys.executable, *module, *agent), environment).listen(AGENT_SERVING) as running:
        page = running.get("/metrics").decode()
    series = re.findall(
        rf'^node_filesystem_(\w+){{.*mountpoint="{place}/([\w-]+)/mounted".*}} (\S+)$', page, re.MULTILINE
    )
    errors = {name: value for what, name, value in series if what == "device_error"}
    assert errors == {name: "0" if name in seen else "1" for name in CLOSED}
    assert {name for what, name, _ in series if what == "size_bytes"} == seen
