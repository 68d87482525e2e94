"""``headroom doctor``: what this process may read here, one line each, with what is lost without it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TextIO

from agent import app, collectors
from agent.config.load import Config
from agent.engine.lanes import Lanes, Outcome
from agent.errors import Absent, AgentError, SourceError
from agent.eviction.watch import Watch
from agent.httpd.address import listen, parse_address
from agent.model import Collector
from agent.pull.pages import MAIN_JOB, SIGNALS
from agent.sources.host import Host
from agent.sources.kubelet.slot import Kubelet

State = Literal["ok", "none", "lost", "fail"]
_MEANING: Final[dict[State, str]] = {
    "ok": "works",
    "none": "this node has no such thing",
    "lost": "missing from the metrics",
    "fail": "the main job cannot run without it",
}


class Finding(NamedTuple):
    """One line: its state, what was examined, and what came of it."""

    state: State
    subject: str
    detail: str


def examine(config: Config, out: TextIO) -> int:
    """Prints every finding. 1 if the main job cannot run here: reading the node's CPU and memory, or beside
    others its eviction signals."""
    host = app.host_of(config, Kubelet())
    watch = app.eviction_watch(config, host)
    chosen = collectors.build(config, host, watch=watch)
    findings = [*_place(host), _user(), *_doors(config), *_push(config), *_kubelet(config, host), *_eviction(watch)]
    findings += _collectors(chosen, config["collection.deadline"])  # after the kubelet, whose documents they use
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        print(f"{finding.state:<4}  {finding.subject:<{width}}  {finding.detail}".rstrip(), file=out)
    print("\n" + "; ".join(f"{state}: {meaning}" for state, meaning in _MEANING.items()), file=out)
    return 1 if any(finding.state == "fail" for finding in findings) else 0


def _place(host: Host) -> Iterator[Finding]:
    """What the kernel answers for the place of the reader instead of for the node."""
    if host.calls.sees_host_network:
        yield Finding("ok", "network namespace", "the node's own")
    else:
        yield Finding("lost", "network namespace", "a pod's: node_nf_conntrack_entries and its limit are omitted")
    if host.calls.sees_host_name:
        yield Finding("ok", "host name", "the node's own")
    elif host.node_name:
        yield Finding("ok", "host name", f"a pod's: nodename is the configured {host.node_name}")
    else:
        yield Finding("lost", "host name", "a pod's: node_uname_info is omitted; give --node-name")


def _user() -> Finding:
    """Who reads here: what is closed to others is closed to nobody, and capabilities are root's alone in a pod."""
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    powers = f"capabilities {effective:x}" if effective else "no capabilities"
    if os.geteuid() == 0:
        return Finding("ok", "user", f"root with {powers}")
    return Finding("ok", "user", f"{os.geteuid()} with {powers}: what is mounted below closed directories is not read")


def _push(config: Config) -> Iterator[Finding]:
    """Whether records are kept and can be sent."""
    from agent.push.examination import examine

    for told in examine(config):
        yield Finding(*told)


def _doors(config: Config) -> Iterator[Finding]:
    """Whether the agent could serve: its address, certificates and credentials."""
    address = parse_address(config["listen"])
    try:
        listen(address).close()
        app.guards(config)
        yield Finding("ok", "listener", f"can listen on {address}")
    except AgentError as error:
        yield Finding("lost", "listener", f"{error} (fine if that is the agent itself)")


def _kubelet(config: Config, host: Host) -> Iterator[Finding]:
    """What the node's kubelet says, one line for each of its paths."""
    client = app.kubelet_client(config)
    if client is None:
        yield Finding("lost", "kubelet", "not asked: give --kubelet.url, such as https://$(NODE_IP):10250")
        return
    from agent.sources.kubelet import poller
    from agent.sources.kubelet.diagnosis import Doctor
    from agent.sources.kubelet.endpoint import FLAGZ, PATHS
    from agent.sources.kubelet.failure import Failed

    explainer = Doctor(client.endpoint, host.node_name, config["kubelet.allow-proxy"])
    if config["kubelet.insecure-skip-verify"]:
        yield Finding("lost", "kubelet TLS", "not verified: whoever answers in its place gets our token")
    for path in (*PATHS, FLAGZ):
        if path is FLAGZ and host.kubelet.configz() is None:
            continue  # it has the same grant, and the reason is said already
        try:
            poller.fetch(host.kubelet, client, host.calls, path)
            yield Finding("ok", f"kubelet {path.path}", f"by get on {path.grant}")
        except Failed as failure:
            state: State = "none" if path is FLAGZ else "lost"
            yield Finding(state, f"kubelet {path.path}", explainer.explain(path, failure))
    client.close()


def _eviction(watch: Watch | None) -> Iterator[Finding]:
    """What the eviction signals are read from, and what is known of their thresholds."""
    if watch is None:
        return
    view = watch.view()
    if view.config.origin == "default":
        yield Finding("lost", "thresholds", "Kubernetes' defaults: no kubelet's configuration is known here")
    else:
        said = "what the kubelet told" if view.config.origin == "configz" else "the kubelet's configuration file"
        yield Finding("ok", "thresholds", f"by {said}")
    for name, place in watch.places().items():
        yield Finding("ok", name, place)
    for name, reason in watch.unplaced().items():
        yield Finding("lost", name, reason)
    if watch.kernel_log_refused is None:
        yield Finding("ok", "kernel log", "OOM kills are told with their process")
    else:
        yield Finding("lost", "kernel log", f"{_explained(watch.kernel_log_refused)}: OOM kills without their process")


def _collectors(chosen: Sequence[Collector], deadline_s: float) -> Iterator[Finding]:
    """What each enabled collector makes of this node."""
    outcomes = Lanes(deadline_s).run(chosen)
    for collector in chosen:
        yield from _outcome(collector, outcomes[collector])
    if not any(collector.name in MAIN_JOB for collector in chosen):
        blocks = [block for outcome in outcomes.values() if outcome.error is None for block in outcome.blocks]
        if not any(block.family.name.startswith(SIGNALS) for block in blocks):
            yield Finding("fail", "eviction signals", "none can be read, and nothing of the node is served besides")


def _outcome(collector: Collector, outcome: Outcome) -> Iterator[Finding]:
    subject = f"collector {collector.name}"
    if isinstance(outcome.error, Absent):
        yield Finding("none", subject, outcome.error.path)
    elif outcome.error is not None:
        yield Finding("fail" if collector.name in MAIN_JOB else "lost", subject, _explained(outcome.error))
    elif outcome.blocks or not outcome.partial:
        samples = sum(len(block.values) for block in outcome.blocks)
        said = "1 sample" if samples == 1 else f"{samples} samples"
        yield Finding("ok" if samples else "none", subject, said if samples else "")
    for error in outcome.partial:
        yield Finding("none" if isinstance(error, Absent) else "lost", subject, f"in part: {_explained(error)}")


def _explained(error: SourceError) -> str:
    return f"{error.reason}: {error}"
