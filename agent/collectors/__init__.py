"""Structs as blocks: one module per subject. ``CATALOG`` is the only registration, explicit and lazy.

Adding a collector is: a source, a collector, its line here, fixture lines, a reviewed golden diff, a changelog line.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from agent.config.load import Config
from agent.config.setting import Setting
from agent.errors import ConfigError
from agent.model import Collector
from agent.sources.host import Host

if TYPE_CHECKING:
    from agent.collectors.selection import Selection
    from agent.eviction.watch import Watch


class Entry(NamedTuple):
    """``target`` is "module:Class" below this package; its constructor takes the Host and its options.

    ``settings`` are the collector's own flags, with node_exporter's names and defaults where it has them.
    ``place`` marks hardware that is recognised but not read yet; ``kubelet`` what nobody but the kubelet knows, so that
    without one to ask the collector is not even loaded. ``beside``: no other exporter of a cluster has its metrics.
    """

    name: str
    target: str
    settings: tuple[Setting, ...] = ()
    enabled: bool = True
    place: bool = False
    kubelet: bool = False
    beside: bool = False

    @property
    def switch(self) -> Setting:
        state = "enabled" if self.enabled else "disabled"
        text = f"Enable the {self.name} collector (default: {state})."
        return Setting(f"collector.{self.name}.enabled", "bool", self.enabled, text, flag_key=f"collector.{self.name}")

    def load(self) -> type[Collector]:
        module, _, name = self.target.partition(":")
        return cast("type[Collector]", getattr(importlib.import_module(f"{__name__}.{module}"), name))


def _regexp(key: str, default: str, help: str) -> Setting:
    return Setting(f"collector.{key}", "regexp", default, help)


def _flag(key: str, help: str, default: bool = False) -> Setting:
    return Setting(f"collector.{key}", "bool", default, help)


_DISKS_EXCLUDED: Final = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$"
_MOUNT_POINTS_EXCLUDED: Final = r"^/(dev|proc|run|sys|mnt|media|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
_FS_TYPES_EXCLUDED: Final = (
    r"^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay"
    r"|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$"
)
_NETSTAT_FIELDS: Final = (
    r"^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    r"|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)"
    r"|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    r"|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$"
)
_UNITS_EXCLUDED: Final = r".+\.(automount|device|mount|scope|slice)"


def _devices(collector: str, what: str, excluded: str = "") -> tuple[Setting, Setting]:
    return (
        _regexp(f"{collector}.device-include", "", f"Regexp of {what} to include; excludes --device-exclude."),
        _regexp(f"{collector}.device-exclude", excluded, f"Regexp of {what} to exclude; excludes --device-include."),
    )


CATALOG: Final[tuple[Entry, ...]] = (
    Entry("arp", "arp:Arp", _devices("arp", "ARP devices")),
    Entry("bcache", "hardware:Bcache", place=True),
    Entry("bcachefs", "hardware:Bcachefs", place=True),
    Entry("bonding", "bonding:Bonding"),
    Entry("btrfs", "hardware:Btrfs", place=True),
    Entry("conntrack", "conntrack:Conntrack"),
    Entry(
        "cpu",
        "cpu:Cpu",
        (
            _flag("cpu.guest", "Expose node_cpu_guest_seconds_total.", default=True),
            _flag("cpu.info", "Expose node_cpu_info."),
            _regexp("cpu.info.flags-include", "", "Regexp of the flags of node_cpu_info to expose."),
            _regexp("cpu.info.bugs-include", "", "Regexp of the bugs of node_cpu_info to expose."),
        ),
    ),
    Entry("cpufreq", "hardware:Cpufreq", place=True),
    Entry("diskstats", "diskstats:Diskstats", _devices("diskstats", "disks", _DISKS_EXCLUDED)),
    Entry("dmi", "hardware:Dmi", place=True),
    Entry("edac", "hardware:Edac", place=True),
    Entry("entropy", "entropy:Entropy"),
    Entry("fibrechannel", "hardware:Fibrechannel", place=True),
    Entry("filefd", "filefd:Filefd"),
    Entry(
        "filesystem",
        "filesystem:Filesystem",
        (
            _regexp("filesystem.mount-points-exclude", _MOUNT_POINTS_EXCLUDED, "Regexp of mount points to exclude."),
            _regexp("filesystem.mount-points-include", "", "Regexp of mount points to include; excludes the former."),
            _regexp("filesystem.fs-types-exclude", _FS_TYPES_EXCLUDED, "Regexp of filesystem types to exclude."),
            _regexp("filesystem.fs-types-include", "", "Regexp of filesystem types to include; excludes the former."),
        ),
    ),
    Entry("hwmon", "hardware:Hwmon", place=True),
    Entry("infiniband", "hardware:Infiniband", place=True),
    Entry("ipvs", "hardware:Ipvs", place=True),
    Entry("kernel_hung", "kernel_hung:KernelHung"),
    Entry("loadavg", "loadavg:Loadavg"),
    Entry("mdadm", "mdadm:Mdadm"),
    Entry("meminfo", "meminfo:Meminfo"),
    Entry(
        "netclass",
        "netclass:Netclass",
        (
            _regexp("netclass.ignored-devices", "^$", "Regexp of network devices to ignore."),
            _flag("netclass.ignore-invalid-speed", "Omit the speed of devices that do not know it."),
        ),
    ),
    Entry(
        "netdev",
        "netdev:Netdev",
        (
            *_devices("netdev", "network devices"),
            _flag("netdev.address-info", "Expose node_network_address_info for every device."),
            _flag(
                "netdev.enable-detailed-metrics", "Use the (incompatible) names of the kernel's detailed statistics."
            ),
            _flag("netdev.label-ifalias", "Add the label ifalias."),
        ),
    ),
    Entry("netstat", "netstat:Netstat", (_regexp("netstat.fields", _NETSTAT_FIELDS, "Regexp of fields to expose."),)),
    Entry("nfs", "hardware:Nfs", place=True),
    Entry("nfsd", "hardware:Nfsd", place=True),
    Entry("nvme", "hardware:Nvme", place=True),
    Entry("os", "os_release:OsRelease"),
    Entry("powersupplyclass", "hardware:Powersupplyclass", place=True),
    Entry("pressure", "pressure:Pressure"),
    Entry("rapl", "hardware:Rapl", place=True),
    Entry("schedstat", "schedstat:Schedstat"),
    Entry("selinux", "selinux:Selinux"),
    Entry("sockstat", "sockstat:Sockstat"),
    Entry("softnet", "softnet:Softnet"),
    Entry("stat", "stat:Stat", (_flag("stat.softirq", "Expose softirq calls per vector."),)),
    Entry(
        "systemd",
        "systemd:Systemd",
        (
            _regexp("systemd.unit-include", ".+", "Regexp of the units to include; it must match the whole name."),
            _regexp("systemd.unit-exclude", _UNITS_EXCLUDED, "Regexp of the units to exclude, of those included."),
            _flag("systemd.enable-task-metrics", "Expose the number of tasks of services, and its limit."),
            _flag("systemd.enable-restarts-metrics", "Expose how often systemd restarted services."),
            _flag("systemd.enable-start-time-metrics", "Expose when units were started."),
            Setting(
                "collector.systemd.address",
                "text",
                "/run/dbus/system_bus_socket",
                "Socket of the node's system bus, where it is mounted for the agent.",
            ),
        ),
        enabled=False,
    ),
    Entry("tapestats", "hardware:Tapestats", place=True),
    Entry("thermal_zone", "hardware:ThermalZone", place=True),
    Entry("time", "time:Time"),
    Entry("timex", "timex:Timex"),
    Entry("udp_queues", "udp_queues:UdpQueues"),
    Entry("uname", "uname:Uname"),
    Entry(
        "vmstat",
        "vmstat:Vmstat",
        (_regexp("vmstat.fields", "^(oom_kill|pgpg|pswp|pg.*fault).*", "Regexp of fields to expose."),),
    ),
    Entry("watchdog", "hardware:Watchdog", place=True),
    Entry("xfs", "hardware:Xfs", place=True),
    Entry("zfs", "hardware:Zfs", place=True),
    Entry("agent", "footprint:Footprint", beside=True),
    Entry(
        "named_processes",
        "named_processes:NamedProcesses",
        (
            Setting(
                "collector.named_processes.names",
                "list",
                ("kubelet", "containerd"),
                "Command names of the processes to report up or down.",
            ),
        ),
        beside=True,
    ),
    Entry(
        "top_processes",
        "top_processes:TopProcesses",
        (Setting("collector.top_processes.count", "int", 10, "How many command names to report per resource."),),
        enabled=False,
        beside=True,
    ),
    Entry("containers", "containers:Containers"),
    Entry("eviction", "eviction:Eviction", beside=True),
    Entry("pod_storage", "pod_storage:PodStorage", kubelet=True, beside=True),
    Entry("volume_stats", "volume_stats:VolumeStats", kubelet=True),  # the kubelet's own /metrics has them too
    Entry("pod_state", "pod_state:PodState", enabled=False, kubelet=True),
    # last, so that a text file cannot take the name of a family of ours
    Entry(
        "textfile",
        "textfile:Textfile",
        (Setting("collector.textfile.directory", "list", (), "Directory of *.prom files, or a glob of directories."),),
    ),
)

SELECTION: Final = (
    Setting("containers.namespace-include", "regexp", "", "Regexp of the namespaces whose pods to report."),
    Setting("containers.namespace-exclude", "regexp", "", "Regexp of the namespaces to leave out, of those included."),
    Setting("containers.label-include", "list", (), "Pod labels, key=value or key: report pods that have one."),
    Setting("containers.label-exclude", "list", (), "Pod labels, key=value or key: leave out pods that have one."),
    Setting("containers.metric-include", "regexp", "", "Regexp of the metrics of pods and containers to report."),
    Setting("containers.metric-exclude", "regexp", "", "Regexp of the metrics to leave out, of those included."),
    Setting(
        "containers.series-per-namespace",
        "int",
        0,
        "The most series that a namespace may have here; its youngest pods lose theirs. 0 is no limit.",
    ),
)

PROFILE: Final = Setting(
    "profile",
    "text",
    "replace",
    "replace serves everything; beside only what node_exporter, cAdvisor and the kubelet do not have.",
    ("replace", "beside"),
)
DISABLE_DEFAULTS: Final = _flag("disable-defaults", "Set all collectors to disabled by default.")


def settings() -> Iterator[Setting]:
    """Every setting that a collector has, and the switches between them."""
    yield PROFILE
    yield DISABLE_DEFAULTS
    yield from SELECTION
    for entry in CATALOG:
        yield entry.switch
        yield from entry.settings


def build(
    config: Config, host: Host, selection: Selection | None = None, watch: Watch | None = None
) -> list[Collector]:
    """The enabled collectors, in the order of the catalog. Raises ConfigError for options that exclude each other.

    Those that report pods share one selection, and so one budget.
    """
    given = {"selection": selection, "watch": watch}
    shared = {name: value for name, value in given.items() if value is not None}
    return [
        cast("Any", entry.load())(host, config.section(f"collector.{entry.name}") | shared)
        for entry in CATALOG
        if _wanted(entry, config)
    ]


def is_wanted(name: str, config: Config) -> bool:
    """Whether ``build`` would make it."""
    return any(_wanted(entry, config) for entry in CATALOG if entry.name == name)


def _wanted(entry: Entry, config: Config) -> bool:
    """A switch that somebody set holds whatever the defaults are."""
    key = entry.switch.key
    if entry.kubelet and not config["kubelet.url"]:
        return False
    if config.origin(key) != "default":
        return bool(config[key])
    left_out = config[PROFILE.key] == "beside" and not entry.beside
    return entry.enabled and not (left_out or config[DISABLE_DEFAULTS.key])


def exclusive(collector: str, options: Mapping[str, Any], first: str, second: str) -> None:
    """Raises ConfigError when both of two options are given."""
    if options[first] and options[second]:
        raise ConfigError(f"--collector.{collector}.{first} and --collector.{collector}.{second} exclude each other")
