"""The configuration in force, looked up anew when it may have changed, and the flags of the kubelet's process.

``/configz`` whenever the kubelet told it anew; its file and flags every minute, though it reads them only when it
starts: whether its process is another one has to be looked up too. Threads: one at a time.
"""

from __future__ import annotations

from typing import Final

from agent.errors import Gone, SourceError
from agent.eviction.configuration import EvictionConfig, choose
from agent.sources.host import Host
from agent.sources.kubelet.command_line import Flags, KubeletProcess, find_kubelet, is_running
from agent.sources.kubelet.config_file import read_config_file
from agent.sources.kubelet.configz import Configz

EVERY_S: Final = 60.0


class Configured:
    """``errors`` are what stood in the way at the last look. ``file`` is the setting that names it, empty for none."""

    def __init__(self, host: Host, file: str = "") -> None:
        self.errors: list[SourceError] = []
        self.process: KubeletProcess | None = None
        self._host = host
        self._file = file
        self._due_s = float("-inf")
        self._configz: object = None
        self._config: EvictionConfig | None = None

    @property
    def flags(self) -> Flags:
        """Of the kubelet's process; empty where there is none to be seen."""
        return self.process.flags if self.process else {}

    def now(self, now_s: float) -> EvictionConfig:
        document = self._host.kubelet.configz()
        if self._config is None or document is not self._configz or now_s >= self._due_s:
            self._due_s = now_s + EVERY_S
            self._configz = document
            self.errors = []
            self._find()
            configz = document.value if document else None
            self._config = choose(configz, None if configz else self._read(), self.flags)
        return self._config

    def _find(self) -> None:
        """The kubelet's process. Looked for only when the one that was known is no more."""
        try:
            if self.process is None or not is_running(self._host.procfs, self.process):
                self.process = find_kubelet(self._host.procfs)
        except SourceError as error:
            self.process = None
            self.errors.append(error.kept())

    def _read(self) -> Configz | None:
        """What the file says; a kubelet without one has no defaults either. None where there is neither."""
        file, directory = self._file or self.flags.get("config", ""), self.flags.get("config-dir", "")
        if not file and self.process is None:
            return None
        try:
            return read_config_file(self._host.rootfs, file, directory)
        except Gone as error:
            self.errors.append(
                SourceError(error.path, "no such file: the defaults are taken for its thresholds").kept()
            )
        except SourceError as error:
            self.errors.append(error.kept())
        return None
