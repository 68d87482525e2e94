"""node_exporter over the recorded nodes: it reads there exactly what the golden files say, for nothing moves."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.peers import comparison
from tests.peers.comparison import told
from tests.peers.exposition import Scrape, parse
from tests.peers.processes import start_node_exporter
from tests.tools import differences, peers
from tests.tools.golden import GOLDEN, NODES, NOT_GOLDEN, TEXTFILE_DIRECTORY, Recorded, lay_out

pytestmark = pytest.mark.needs("node_exporter")

# Asked of the kernel, not read from files: node_exporter answers for the machine that runs it.
ASKED = (
    ("node_filesystem_*", "statvfs(2)"),
    ("node_selinux_*", "found by libselinux, wherever that looks"),
    ("node_network_receive_nohandler_total*", "netlink, which is off here so that the rest comes from files"),
    ("node_time_*", "clocks and the time zone"),
    ("node_timex_*", "adjtimex(2)"),
    ("node_uname_info*", "uname(2)"),
    ("node_scrape_collector_success*", "follows from the others"),
)
HERE = (
    *(f"--path.{tree}" for tree in ("procfs=proc", "sysfs=sys", "rootfs=root", "udev.data=udev")),
    *(f"--{name}={value}" for name, value in TEXTFILE_DIRECTORY.items()),
)
FILES_ONLY = ("--no-collector.netdev.netlink", "--no-collector.arp.netlink", "--no-collector.netclass.netlink")
# What node_exporter needs to run at all on what a recording lacks.
SPECIAL = {"cgroup2": ("--no-collector.cpu",)}  # it crashes without sys/devices/system/cpu
UNREAD = {"cgroup2": ("node_cpu_*",)}


def comparable(scrape: Scrape, node: str) -> Scrape:
    """Without what was asked, and what a golden leaves out."""
    left_out = [*(pattern for pattern, _ in ASKED), *(f"{name}*" for name, _ in NOT_GOLDEN), *UNREAD.get(node, ())]
    kept = {name: scrape.samples[name] for name in scrape.samples if not any(fnmatchcase(name, p) for p in left_out)}
    return scrape._replace(samples=kept)


@pytest.mark.parametrize("recorded", NODES, ids=lambda recorded: recorded.name)
def test_a_golden_is_what_node_exporter_reads(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the same files it has the same series with the same values, but for docs/differences.toml."""
    program = peers.path("node_exporter")
    assert program is not None, "the test says that it needs node_exporter"
    lay_out(recorded, tmp_path)
    if not (tmp_path / "proc/net").exists():
        (tmp_path / "proc/net").symlink_to("1/net")  # its own network is where node_exporter looks
    monkeypatch.chdir(tmp_path)  # the text files' paths are label values
    with start_node_exporter(program, *HERE, *FILES_ONLY, *SPECIAL.get(recorded.name, ())) as running:
        peer = comparable(parse(running.get("/metrics")), recorded.name)
    golden = comparable(parse((GOLDEN / f"{recorded.name}.prom").read_bytes()), recorded.name)
    found = [*comparison.shape(golden, peer), *comparison.values(golden, peer, peer)]
    assert told(comparison.unlisted(found, differences.read()[0])) == ""
    assert len([name for name in peer.samples if name.startswith("node_")]) > 250
