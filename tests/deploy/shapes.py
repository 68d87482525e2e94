"""Schemas of objects that are not Kubernetes' own, written by hand from their documentation: what we use of them, and
no other field. Kubernetes' own are those of kubernetes-validate, where an unknown field is an error too.
"""

from __future__ import annotations

from typing import Any, Final

import jsonschema
import kubernetes_validate

TEXT: Final = {"type": "string"}
LABELS: Final = {"type": "object", "additionalProperties": TEXT}


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def _list(of: Any, least: int = 1) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": least}


_META: Final = _object("name", name=TEXT, namespace=TEXT, labels=LABELS, finalizers=_list(TEXT))
_SELECTOR: Final = _object("matchLabels", matchLabels=LABELS)
_SECRET_KEY: Final = _object("name", "key", name=TEXT, key=TEXT)
_RELABELING: Final = _object(
    "action",
    action={"enum": ["replace", "labeldrop", "keep", "drop"]},
    regex=TEXT,
    sourceLabels=_list(TEXT),
    targetLabel=TEXT,
    replacement=TEXT,
)
_POD_MONITOR: Final = _object(
    *("selector", "podMetricsEndpoints"),
    selector=_SELECTOR,
    podMetricsEndpoints=_list(
        _object(
            *("port", "path", "relabelings"),
            port=TEXT,
            path={"enum": ["/metrics", "/metrics/headroom", "/metrics/node", "/metrics/cadvisor"]},
            interval={"type": "string", "pattern": r"^\d+(ms|s|m)$"},
            scheme={"enum": ["http", "https"]},
            tlsConfig=_object(serverName=TEXT, ca=_object(secret=_SECRET_KEY)),
            authorization=_object("credentials", credentials=_SECRET_KEY),
            honorLabels={"type": "boolean"},
            relabelings=_list(_RELABELING),
        )
    ),
)
_SCRAPE_CONFIG: Final = _object(
    "httpSDConfigs",
    jobName=TEXT,
    scrapeInterval={"type": "string", "pattern": r"^\d+(ms|s|m)$"},
    honorLabels={"type": "boolean"},
    authorization=_object("credentials", credentials=_SECRET_KEY),
    httpSDConfigs=_list(
        _object(
            "url",
            url={"type": "string", "pattern": "^http://"},
            authorization=_object("credentials", credentials=_SECRET_KEY),
        )
    ),
)
_APPLICATION: Final = _object(
    *("project", "source", "destination"),
    project=TEXT,
    source=_object(
        *("repoURL", "targetRevision", "path"),
        repoURL={"type": "string", "pattern": "^https://"},
        targetRevision=TEXT,
        path=TEXT,
        helm=_object(releaseName=TEXT, valueFiles=_list(TEXT), valuesObject={"type": "object"}),
    ),
    destination=_object("namespace", name=TEXT, server=TEXT, namespace=TEXT),
    syncPolicy=_object(
        automated=_object(prune={"type": "boolean"}, selfHeal={"type": "boolean"}),
        managedNamespaceMetadata=_object(labels=LABELS, annotations=LABELS),
        syncOptions=_list({"enum": ["CreateNamespace=true", "ServerSideApply=true"]}),
    ),
)
_APPLICATION_SET: Final = _object(
    *("generators", "template"),
    goTemplate={"type": "boolean"},
    goTemplateOptions=_list({"enum": ["missingkey=error"]}),
    generators=_list(_object("clusters", clusters=_object(selector=_SELECTOR))),
    template=_object("metadata", "spec", metadata=_META, spec=_APPLICATION),
)
_CERTIFICATE: Final = _object(
    *("secretName", "dnsNames", "issuerRef"),
    secretName=TEXT,
    dnsNames=_list(TEXT),
    usages=_list({"enum": ["server auth", "client auth"]}),
    issuerRef=_object("name", "kind", name=TEXT, kind={"enum": ["Issuer", "ClusterIssuer"]}, group=TEXT),
)
_STRATEGY: Final = {"type": "object", "required": ["type"], "properties": {"type": {"const": "RunAsAny"}}}
_SCC: Final = {
    **{f"allow{what}": {"const": False} for what in ("HostIPC", "HostNetwork", "HostPID", "HostPorts")},
    **{f"allow{what}": {"const": False} for what in ("PrivilegeEscalation", "PrivilegedContainer")},
    "allowHostDirVolumePlugin": {"const": True},
    **{f"{what}Capabilities": _list(TEXT, 0) for what in ("allowed", "defaultAdd", "requiredDrop")},
    **dict.fromkeys(("fsGroup", "runAsUser", "seLinuxContext", "supplementalGroups"), _STRATEGY),
    "priority": {"type": ["integer", "null"]},
    "readOnlyRootFilesystem": {"const": True},
    "seccompProfiles": _list(TEXT),
    "volumes": _list({"enum": ["configMap", "hostPath", "projected", "secret"]}),
    "groups": _list(TEXT, 0),
    "users": _list({"type": "string", "pattern": "^system:serviceaccount:"}),
}
SPECS: Final = {
    ("monitoring.coreos.com/v1", "PodMonitor"): _POD_MONITOR,
    ("monitoring.coreos.com/v1alpha1", "ScrapeConfig"): _SCRAPE_CONFIG,
    ("argoproj.io/v1alpha1", "Application"): _APPLICATION,
    ("argoproj.io/v1alpha1", "ApplicationSet"): _APPLICATION_SET,
    ("cert-manager.io/v1", "Certificate"): _CERTIFICATE,
}


def check(document: dict[str, Any], kubernetes: str) -> None:
    """Raises jsonschema's ValidationError with the field."""
    kind = (document["apiVersion"], document["kind"])
    head = {"apiVersion": TEXT, "kind": TEXT, "metadata": _META}
    if kind in SPECS:
        jsonschema.validate(document, _object("metadata", "spec", **head, spec=SPECS[kind]))
    elif kind == ("security.openshift.io/v1", "SecurityContextConstraints"):
        jsonschema.validate(document, _object(*_SCC, **head, **_SCC))
    else:
        kubernetes_validate.validate(document, kubernetes, strict=True)
