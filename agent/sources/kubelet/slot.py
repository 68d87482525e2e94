"""What the kubelet last said, for collectors to look at: nothing here waits for the network.

The poller (``poller``) puts documents in; a document that could not be renewed stays, and its age tells.
Threads: any. A document is immutable and replaced as a whole.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:  # the parsers load only with a kubelet
    from agent.sources.kubelet.configz import Configz
    from agent.sources.kubelet.pods import Pod
    from agent.sources.kubelet.summary import Summary

STALE_S: Final = 300.0  # five answers in a row are missing: what the last one said is no longer how it is
T = TypeVar("T")


class Document(NamedTuple, Generic[T]):
    """One answer, parsed, and when it was asked for: by the monotonic clock and by the wall's."""

    value: T
    taken_s: float
    time_s: float


class Kubelet:
    """The latest good document of each kind; None until there is one, and for ever where it is refused.

    ``urgent`` is True while an eviction is near: then the kubelet is asked every 10 s instead of every minute.
    ``unnamed`` is True while there is a new container that only another ``/pods`` can name; the next one that comes
    ends it, and whoever looks at that one may say it again. ``wants_flagz`` is True while nothing else tells where the
    kubelet keeps its files; it is no reason to ask sooner. ``wake`` is what the poller sleeps on.
    """

    def __init__(
        self,
        pods: Document[tuple[Pod, ...]] | None = None,
        summary: Document[Summary] | None = None,
        configz: Document[Configz] | None = None,
    ) -> None:
        self._pods = pods
        self._summary = summary
        self._configz = configz
        self._flagz: Document[dict[str, str]] | None = None
        self._urgent = False
        self._unnamed = False
        self.wants_flagz = False
        self.wake = threading.Event()

    @property
    def urgent(self) -> bool:
        return self._urgent

    @urgent.setter
    def urgent(self, value: bool) -> None:
        begins = value and not self._urgent
        self._urgent = value
        if begins:
            self.wake.set()

    @property
    def unnamed(self) -> bool:
        return self._unnamed

    @unnamed.setter
    def unnamed(self, value: bool) -> None:
        begins = value and not self._unnamed
        self._unnamed = value
        if begins:
            self.wake.set()

    def pods(self) -> Document[tuple[Pod, ...]] | None:
        return self._pods

    def summary(self) -> Document[Summary] | None:
        return self._summary

    def configz(self) -> Document[Configz] | None:
        return self._configz

    def flagz(self) -> Document[dict[str, str]] | None:
        return self._flagz

    def put_pods(self, document: Document[tuple[Pod, ...]]) -> None:
        self._pods = document
        self._unnamed = False  # until somebody has looked

    def put_summary(self, document: Document[Summary]) -> None:
        self._summary = document

    def put_configz(self, document: Document[Configz]) -> None:
        self._configz = document

    def put_flagz(self, document: Document[dict[str, str]]) -> None:
        self._flagz = document


NO_KUBELET: Final = Kubelet()
