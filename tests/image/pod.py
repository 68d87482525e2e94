"""A rendered pod, as a node has to run it: the fields of Kubernetes that are carried out here, and no other.

``workload`` finds the pod template in what ``kubectl kustomize`` or ``helm template`` rendered. A field that is not
named here is refused, so that no test passes because something was overlooked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tests.image.fields import Fields, SpecError, bytes_of, millicores_of

# What the scheduler, the API server and the controllers act upon; a node that has the pod does not.
ELSEWHERE: Final = (
    *("serviceAccountName", "priorityClassName", "nodeSelector", "tolerations", "affinity"),
    "topologySpreadConstraints",
)
RUNTIME_DEFAULT: Final = {"type": "RuntimeDefault"}
DEFAULT_MODE: Final = 0o644
ALL: Final = "*"
KINDS: Final = ("DaemonSet", "StatefulSet", "Deployment")


class File(NamedTuple):
    """One file of a volume: where it comes from (token, configMap or secret, its name and key) and where it goes.

    The key ``ALL`` stands for every key that there is, each under its own name.
    """

    source: str
    name: str
    key: str
    path: str
    mode: int = DEFAULT_MODE


class Volume(NamedTuple):
    """``host`` is a path of the node with its type; ``files`` are written; neither is an empty directory."""

    host: tuple[str, str] | None = None
    files: tuple[File, ...] = ()


class Mount(NamedTuple):
    volume: str
    path: str
    read_only: bool
    propagation: str


class Probe(NamedTuple):
    """An HTTP GET of the kubelet's. ``port`` may be the name of one."""

    path: str
    port: int | str
    scheme: str
    delay_s: int
    period_s: int
    timeout_s: int
    successes: int
    failures: int


class Variable(NamedTuple):
    """``field`` is the pod's own, for a value that only the node knows."""

    name: str
    value: str
    field: str


class Rights(NamedTuple):
    """``uid`` and ``gid`` are None where the image decides."""

    uid: int | None
    gid: int | None
    non_root: bool
    groups: tuple[int, ...]
    seccomp: bool
    no_new_privileges: bool
    read_only_root: bool
    capabilities: tuple[str, ...] | None


class Limits(NamedTuple):
    memory_bytes: int | None
    millicores: int | None
    shares_millicores: int | None


class Container(NamedTuple):
    name: str
    image: str
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: tuple[Variable, ...]
    ports: Mapping[str, int]
    mounts: tuple[Mount, ...]
    probes: Mapping[str, Probe]
    limits: Limits
    rights: Rights


class Pod(NamedTuple):
    labels: Mapping[str, str]
    containers: tuple[Container, ...]
    init: tuple[Container, ...]
    volumes: Mapping[str, Volume]
    grace_s: int


def workload(rendered: Sequence[Any], name: str) -> Pod:
    """The pod of the one DaemonSet, StatefulSet or Deployment of this name. Raises SpecError."""
    found = [one for one in rendered if one and one["kind"] in KINDS and one["metadata"]["name"] == name]
    if len(found) != 1:
        raise SpecError(f"{len(found)} workloads are called {name}")
    spec = found[0]["spec"]
    claimed = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())]
    with Fields(spec["template"], "template") as fields:
        labels = fields.take("metadata").get("labels", {})
        return fields.nested("spec", lambda spec: _pod(spec, labels, claimed))


def _pod(fields: Fields, labels: Mapping[str, str], claimed: Sequence[str]) -> Pod:
    """What is claimed of a storage class is an empty directory at first, too."""
    fields.ignore(ELSEWHERE)
    fields.only("automountServiceAccountToken", False)
    fields.only("enableServiceLinks", False)
    fields.only("restartPolicy", "Always")
    for namespace in ("hostNetwork", "hostPID", "hostIPC"):
        fields.only(namespace, False)
    shared = fields.nested("securityContext", _security, {})
    volumes = {**dict.fromkeys(claimed, Volume()), **dict(fields.each("volumes", _volume))}
    containers, init = (
        fields.each(name, lambda one: _container(one, shared, volumes)) for name in ("containers", "initContainers")
    )
    return Pod(labels, containers, init, volumes, fields.take("terminationGracePeriodSeconds", 30))


def _volume(fields: Fields) -> tuple[str, Volume]:
    name = fields.take("name")
    if fields.present("hostPath"):
        return name, fields.nested("hostPath", lambda one: Volume((one.take("path"), one.take("type", ""))))
    if fields.present("projected"):
        return name, fields.nested("projected", _projected)
    if fields.present("emptyDir"):
        return name, fields.nested("emptyDir", _empty)
    return name, Volume(files=_files(fields))


def _empty(fields: Fields) -> Volume:
    fields.take("sizeLimit", None)  # who exceeds it is evicted; nothing stops the container before that
    return Volume()


def _projected(fields: Fields) -> Volume:
    mode = fields.take("defaultMode", DEFAULT_MODE)
    files = sum(fields.each("sources", _source), ())
    return Volume(files=tuple(file._replace(mode=mode) for file in files))


def _source(fields: Fields) -> tuple[File, ...]:
    return fields.nested("serviceAccountToken", _token) if fields.present("serviceAccountToken") else _files(fields)


def _token(fields: Fields) -> tuple[File, ...]:
    fields.take("expirationSeconds", 3600)  # how long a token is valid, its issuer decides
    return (File("token", fields.take("audience", ""), "token", fields.take("path")),)


def _files(fields: Fields) -> tuple[File, ...]:
    """The chosen keys of a ConfigMap or a Secret; without a choice, all there are."""
    for source, name in (("configMap", "name"), ("secret", "secretName")):
        if fields.present(source):
            with Fields(fields.take(source), f"{fields.where}.{source}") as one:
                of = one.take(name) if one.present(name) else one.take("name")
                one.only("optional", False)
                mode = one.take("defaultMode", DEFAULT_MODE)
                items = one.each("items", lambda item: (item.take("key"), item.take("path")))
                return tuple(File(source, of, key, path, mode) for key, path in items or ((ALL, ""),))
    raise SpecError(f"{fields.where}: no kind of volume that is known here")


def _container(fields: Fields, shared: Mapping[str, Any], volumes: Mapping[str, Volume]) -> Container:
    fields.only("imagePullPolicy", "IfNotPresent", "Always", "Never")  # the image is there
    made = Container(
        fields.take("name"),
        fields.take("image"),
        tuple(fields.take("command", ())),
        tuple(fields.take("args", ())),
        fields.each("env", _variable),
        dict(fields.each("ports", _port)),
        fields.each("volumeMounts", _mount),
        {
            name: fields.nested(f"{name}Probe", _probe)
            for name in ("startup", "liveness", "readiness")
            if fields.present(f"{name}Probe")
        },
        fields.nested("resources", _limits, {}),
        _rights(fields.nested("securityContext", _security, {}), shared, f"{fields.where}.securityContext"),
    )
    if unknown := {mount.volume for mount in made.mounts} - volumes.keys():
        raise SpecError(f"{fields.where}.volumeMounts: no volume is called {', '.join(sorted(unknown))}")
    return made


def _variable(fields: Fields) -> Variable:
    name = fields.take("name")
    if not fields.present("valueFrom"):
        return Variable(name, fields.take("value", ""), "")

    def reference(one: Fields) -> str:
        return str(one.take("fieldPath"))

    return Variable(name, "", fields.nested("valueFrom", lambda one: one.nested("fieldRef", reference)))


def _port(fields: Fields) -> tuple[str, int]:
    fields.only("protocol", "TCP")
    number = fields.take("containerPort")
    return fields.take("name", str(number)), number


def _mount(fields: Fields) -> Mount:
    return Mount(
        fields.take("name"),
        fields.take("mountPath"),
        fields.take("readOnly", False),
        fields.take("mountPropagation", "None"),
    )


def _probe(fields: Fields) -> Probe:
    path, port, scheme = fields.nested(
        "httpGet", lambda one: (one.take("path", "/"), one.take("port"), one.take("scheme", "HTTP"))
    )
    names = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1}
    return Probe(
        path,
        port,
        scheme,
        *(fields.take(name, default) for name, default in names.items()),
        fields.take("failureThreshold", 3),
    )


def _limits(fields: Fields) -> Limits:
    def amounts(one: Fields) -> tuple[int | None, int | None]:
        memory, cpu = one.take("memory", None), one.take("cpu", None)
        return (
            None if memory is None else bytes_of(memory, f"{one.where}.memory"),
            None if cpu is None else millicores_of(cpu, f"{one.where}.cpu"),
        )

    memory, cpu = fields.nested("limits", amounts, {})
    return Limits(memory, cpu, fields.nested("requests", amounts, {})[1])


def _security(fields: Fields) -> dict[str, Any]:
    """What a security context says, of a pod or of a container; who reads it knows which is which."""
    fields.only("privileged", False)
    said: dict[str, Any] = {
        name: fields.take(name)
        for name in ("runAsUser", "runAsGroup", "runAsNonRoot", "allowPrivilegeEscalation", "readOnlyRootFilesystem")
        if fields.present(name)
    }
    if fields.present("seccompProfile"):
        fields.only("seccompProfile", RUNTIME_DEFAULT)
        said["seccomp"] = True
    groups = [fields.take("fsGroup")] if fields.present("fsGroup") else []
    fields.only("fsGroupChangePolicy", "OnRootMismatch", "Always")
    said["groups"] = (*groups, *fields.take("supplementalGroups", ()))
    if fields.present("capabilities"):
        said["capabilities"] = fields.nested("capabilities", _capabilities)
    return said


def _capabilities(fields: Fields) -> tuple[str, ...]:
    """All are dropped; those that are added come back."""
    if fields.take("drop") != ["ALL"]:
        raise SpecError(f"{fields.where}.drop: only [ALL] is carried out here")
    return tuple(f"CAP_{name}" for name in fields.take("add", ()))


def _rights(own: Mapping[str, Any], shared: Mapping[str, Any], where: str) -> Rights:
    """A container's own settings go before its pod's."""
    said = {**shared, **own}
    if said.get("capabilities") is None:
        raise SpecError(f"{where}.capabilities: missing; a runtime's own set is not known here")
    return Rights(
        said.get("runAsUser"),
        said.get("runAsGroup"),
        said.get("runAsNonRoot", False),
        tuple(shared["groups"]),
        said.get("seccomp", False),
        said.get("allowPrivilegeEscalation", True) is False,
        said.get("readOnlyRootFilesystem", False),
        said["capabilities"],
    )
