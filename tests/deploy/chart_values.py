"""Values that the chart is tried with, and what they are in terms of kustomize's components."""

from __future__ import annotations

from typing import Any, Final

from tests.deploy.rendering import CHART

CENTRAL: Final = {"push.enabled": True, "aggregator.enabled": True}
CLOSED: Final = {"scrape.enabled": False}
MONITORED: Final = {"podMonitor.enabled": True}

# Components over the base, and the values that give the same objects.
SAME: Final[tuple[tuple[tuple[str, ...], dict[str, Any]], ...]] = (
    ((), {"profile": "replace"}),
    (("beside",), {}),
    (("beside", "spool"), {"spool.enabled": True}),
    (("beside", "push", "aggregator"), CENTRAL),
    (("push", "aggregator", "podmonitor", "podmonitor-replace"), {"profile": "replace", **CENTRAL, **MONITORED}),
    (("beside", "push", "aggregator", "mutual-tls"), {**CENTRAL, "push.identity": "certificate"}),
    (("beside", "podmonitor"), MONITORED),
    (("beside", "push", "aggregator", "scrapeconfig"), {**CENTRAL, "scrapeConfig.enabled": True}),
    (("podmonitor", "podmonitor-replace"), {"profile": "replace", **MONITORED}),
    (("beside", "kube-state"), {"agent.collectors": {"pod_state": True}}),
    (("beside", "pinned-kubelet"), {"kubelet.trust": "pinned"}),
)
COMPOSED: Final = tuple(components for components, _ in SAME if components)

MATRIX: Final[tuple[dict[str, Any], ...]] = (
    *(values for _, values in SAME),
    {**CENTRAL, **CLOSED},
    {"push.enabled": True, "push.target": "aggregator.example.com:9911", "push.identity": "certificate"},
    {"push.enabled": True, "push.target": "[fd00::1]:9911", "push.caConfigMap": "our-ca"},
    {**CENTRAL, "push.identity": "certificate", "push.certificateSecret": "nodes"},
    {**CENTRAL, "aggregator.certManager": {"enabled": True, "issuerName": "ca"}, "aggregator.retention": "48h"},
    {
        **CENTRAL,
        "aggregator.storage": {"size": "20Gi", "className": "fast"},
        "aggregator.extraArgs": ["--log.level=debug"],
    },
    {"networkPolicy.enabled": False, "http.insecure": True},
    {"networkPolicy.enabled": False, "http.tokenSecret": "tokens", "http.tlsSecret": "tls", **MONITORED, **CENTRAL},
    {**CENTRAL, "scrapeConfig.enabled": True, "http.tokenSecret": "tokens", "scrapeConfig.labels": {"release": "x"}},
    {"agent.runAsRoot": True, "agent.capabilities": ["DAC_READ_SEARCH"]},
    {**CENTRAL, "openshift.securityContextConstraints": True},
    {"agent.seLinuxType": "spc_t", "openshift.securityContextConstraints": True, "spool.enabled": True},
    {"agent.priorityQuota": True, "agent.maxSurge": 3, "agent.priorityClassName": "system-cluster-critical"},
    {"agent.collectors": {"cpu": True, "eviction": False}, "agent.extraArgs": ["--log.format=json"]},
    {"agent.podLabels": {"team": "a"}, "agent.podAnnotations": {"note": "b"}, "agent.nodeSelector": {"pool": "c"}},
    {"kubelet": {"trust": "configMap", "caConfigMap": "ca", "nodesProxy": True, "serverName": "n", "port": 10260}},
    {"image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"], "pullPolicy": "Never"}},
    {"image.repository": "registry.example:5000/monitoring/headroom-agent", "image.tag": "0.2.0", "cluster": "edge-1"},
)
PRESETS: Final = sorted((CHART / "presets").glob("*.yaml"))
