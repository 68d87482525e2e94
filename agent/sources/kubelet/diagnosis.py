"""Why a request to the kubelet failed, in words that name the cure: the missing grant, or the setting that would fit.

For ``headroom doctor``. Looks at the certificate that the kubelet shows, without trusting it or sending anything.
"""

from __future__ import annotations

import re
import time
from typing import Any, Final, NamedTuple

from agent.sources.kubelet.client import connect
from agent.sources.kubelet.endpoint import CONFIGZ, FLAGZ, SUMMARY, Endpoint, Path
from agent.sources.kubelet.failure import TLS_CAUSES, Failed
from agent.sources.kubelet.trust import SERVICE_ACCOUNT_CA, unverified

LOOK_S: Final = 5.0
KUBEADM: Final = "/var/lib/kubelet/pki/kubelet.crt"
_OWN_CA: Final = re.compile(r".*-ca@\d+")  # what a kubelet calls the CA that it makes for itself
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME
_ONLY_PROXY: Final = "subresource=proxy"  # how a kubelet before 1.33 says which grant it wants


class Certificate(NamedTuple):
    """What the kubelet shows. ``own`` is one that it signed itself."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    own: bool
    issuer: str
    expires: str


class Doctor:
    """Explains failures; looks at the certificate once, when one of them is about it."""

    def __init__(self, endpoint: Endpoint, node_name: str, allow_proxy: bool) -> None:
        self._endpoint = endpoint
        self._node_name = node_name
        self._allow_proxy = allow_proxy
        self._looked: Certificate | None = None

    def explain(self, path: Path, failure: Failed) -> str:
        """One line: what went wrong, and what to do."""
        cure = ""
        if failure.cause in TLS_CAUSES:
            cure = self._tls(failure)
        elif failure.cause == "forbidden":
            cure = self._grant(path, failure.detail)
        elif failure.cause == "unauthorized":
            cure = "give a token of this cluster with --kubelet.token-file"
        elif failure.cause == "not_found" and path is CONFIGZ:
            cure = "the kubelet runs with enableDebuggingHandlers: false"
        elif failure.cause == "not_found" and path is FLAGZ:
            cure = "kubelets since 1.33 serve it, with the feature gate ComponentFlagz"
        elif failure.cause == "files" and SERVICE_ACCOUNT_CA in failure.detail:
            cure = "not in a pod: give --kubelet.ca-file or --kubelet.cert-file"
        elif failure.cause == "refused":
            cure = f"nothing listens at {self._endpoint}"
        said = f"{failure.cause}: {failure.detail}"
        return f"{cure} ({said})" if cure else said

    def _grant(self, path: Path, said: str) -> str:
        if path is SUMMARY or _ONLY_PROXY not in said:
            return f"grant get on {path.grant}"
        if self._allow_proxy:
            return "grant get on nodes/proxy, as this kubelet is older than 1.33"
        return (
            "this kubelet is older than 1.33 and knows only nodes/proxy, which also lets us run commands in containers:"
            " grant it only if you accept that, with --kubelet.allow-proxy"
        )

    def _tls(self, failure: Failed) -> str:
        if self._looked is None:
            self._looked = look(self._endpoint)
        shown = self._looked
        if shown is None:
            return "" if failure.cause != "tls" else f"does {self._endpoint} speak TLS?"
        if failure.cause == "tls_expired":
            return (
                f"its certificate is not valid now, until {shown.expires}: renew it, or pin it with --kubelet.cert-file"
            )
        if failure.cause == "tls_name":
            return self._name(shown)
        if shown.own:
            also = f", or as --kubelet.ca-file with{self._named(shown)}" if shown.names else ""
            return f"it signed its certificate itself: mount that ({KUBEADM}) and give it as --kubelet.cert-file{also}"
        return f"its certificate is signed by {shown.issuer}: give that CA as --kubelet.ca-file{self._named(shown)}"

    def _name(self, shown: Certificate) -> str:
        if not shown.names and not shown.addresses:
            return "its certificate has no names at all: pin it with --kubelet.cert-file"
        return f"its certificate is not for {self._endpoint.host}: give{self._named(shown)}"

    def _named(self, shown: Certificate) -> str:
        """The name to verify it under, where the URL's host is none of its own."""
        known = (*shown.names, *shown.addresses)
        if self._endpoint.host in known or not known:
            return ""
        return f" --kubelet.server-name {self._node_name if self._node_name in known else known[0]}"


def look(endpoint: Endpoint) -> Certificate | None:
    """The certificate shown there; None if none is. Connects twice: the second time that one is the trusted one."""
    import ssl

    deadline_s = time.monotonic() + LOOK_S
    context = unverified()
    try:
        der = _shown(endpoint, context, deadline_s, binary=True)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
        context.load_verify_locations(cadata=der)
        return _certificate(_shown(endpoint, context, deadline_s, binary=False))
    except OSError:
        return None


def _shown(endpoint: Endpoint, context: Any, deadline_s: float, binary: bool) -> Any:
    with connect(endpoint, deadline_s) as sock:
        sock.settimeout(max(0.1, deadline_s - time.monotonic()))
        with context.wrap_socket(sock, server_hostname=endpoint.host.encode()) as wrapped:
            return wrapped.getpeercert(binary)


def _certificate(said: dict[str, Any]) -> Certificate:
    names = said.get("subjectAltName", ())
    issuer = _common_name(said.get("issuer", ()))
    return Certificate(
        names=tuple(value for kind, value in names if kind == "DNS"),
        addresses=tuple(value for kind, value in names if kind == "IP Address"),
        own=said.get("issuer") == said.get("subject") or _OWN_CA.fullmatch(issuer) is not None,
        issuer=issuer,
        expires=said.get("notAfter", ""),
    )


def _common_name(name: Any) -> str:
    return next((value for part in name for key, value in part if key == "commonName"), "an unnamed CA")
