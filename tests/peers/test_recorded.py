"""node_exporter over the recorded nodes: it reads there exactly what the golden files say, for nothing moves."""

from __future__ import annotations

import gzip
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.peers import comparison
from tests.peers.comparison import told
from tests.peers.exposition import Scrape, parse
from tests.peers.processes import start_node_exporter
from tests.tools import differences, peers
from tests.tools.golden import GOLDEN, NODES, NOT_GOLDEN, TEXTFILE_DIRECTORY, Recorded, lay_out
from tests.tools.recorded import NODES as ARCHIVES

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
BEFORE, AFTER = (f".node_exporter.{when}.prom.gz" for when in ("before", "after"))
FILES_ONLY = ("--no-collector.netdev.netlink", "--no-collector.arp.netlink", "--no-collector.netclass.netlink")
# What node_exporter needs to run at all on what a recording lacks.
SPECIAL = {"cgroup2": ("--no-collector.cpu",)}  # it crashes without sys/devices/system/cpu
UNREAD = {
    "cgroup2": ("node_cpu_*",),
    "raid": ("node_md_degraded*", "node_md_raid_disks*"),  # only with the array's UUID, which is not recorded
}
# What was not the same there: a golden's text files are put beside every recorded node, and it has no durations.
NOT_THERE = (
    ("backup_*", "text files"),
    ("jobs_run_total*", "text files"),
    ("node_role*", "text files"),
    ("node_textfile_*", "text files"),
    *((f"{name}*", why) for name, why in NOT_GOLDEN),
)


def comparable(scrape: Scrape, node: str) -> Scrape:
    """Without what was asked, and what a golden leaves out."""
    left_out = [*(pattern for pattern, _ in ASKED), *(f"{name}*" for name, _ in NOT_GOLDEN), *UNREAD.get(node, ())]
    kept = {name: scrape.samples[name] for name in scrape.samples if not any(fnmatchcase(name, p) for p in left_out)}
    return scrape._replace(samples=kept)


@pytest.mark.needs("node_exporter")
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


@pytest.mark.parametrize("name", [path.name.removesuffix(BEFORE) for path in ARCHIVES.glob(f"*{BEFORE}")])
def test_a_golden_is_what_node_exporter_said_there(name: str) -> None:
    """Where node_exporter ran on the recorded node just before and after: the same series, and values in between."""
    before, after = (parse(gzip.decompress((ARCHIVES / f"{name}{end}").read_bytes())) for end in (BEFORE, AFTER))
    golden = parse((GOLDEN / f"{name}.prom").read_bytes())
    found = [*comparison.shape(golden, before), *comparison.values(golden, before, after)]
    told_there = [one for one in found if not any(fnmatchcase(one.series, pattern) for pattern, _ in NOT_THERE)]
    assert told(comparison.unlisted(told_there, differences.read()[0])) == ""
    assert comparison.agreement(told_there, before) > 0.9
