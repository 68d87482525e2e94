"""How the kubelet's certificate is verified: by a CA, by a pinned certificate, and under which name.

A kubelet whose serving certificate the cluster signs has its addresses in it: the CA is enough. One that signs its own
(the default of kubeadm) has only its host name in it: give that as the server name and the certificate file as the
CA, or pin the file, which then must be exactly what the kubelet shows, whatever its names and dates. The files are
read when they are first needed, and again when they change. Loads ``ssl`` when it first connects.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from agent.errors import ConfigError
from agent.httpd.files import Reread
from agent.sources.kubelet.endpoint import HOST
from agent.sources.kubelet.failure import Cause, Failed

if TYPE_CHECKING:
    from ssl import SSLContext, SSLSocket

SERVICE_ACCOUNT_CA: Final = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
FILE_CHARS_MAX: Final = 1 << 20
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"
# X509_V_ERR_... of x509_vfy.h
_NOT_YET_VALID, _HAS_EXPIRED = 9, 10
_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH = 62, 64


class Trust(NamedTuple):
    """The three ways, and the last resort. An empty ``ca_file`` is the service account's."""

    ca_file: str = ""
    cert_file: str = ""
    server_name: str = ""
    insecure: bool = False

    def check(self) -> None:
        """Raises ConfigError where one setting would undo another."""
        if self.insecure and (self.ca_file or self.cert_file):
            raise ConfigError(
                "--kubelet.insecure-skip-verify verifies nothing: give no --kubelet.ca-file or -cert-file"
            )
        if self.cert_file and self.ca_file:
            raise ConfigError("--kubelet.ca-file and --kubelet.cert-file exclude each other")
        if self.server_name and not re.fullmatch(HOST, self.server_name, re.ASCII):
            raise ConfigError(f"--kubelet.server-name {self.server_name!r}: a host name or an address expected")


class Shaker:
    """Makes TLS sockets of connected ones. Not for several threads at once."""

    def __init__(self, trust: Trust, host: str) -> None:
        self._trust = trust
        self._name = trust.server_name or host
        self._context: Reread[SSLContext] | None = None
        self._pinned: Reread[frozenset[bytes]] | None = None

    def wrap(self, sock: socket.socket, path: str) -> SSLSocket:
        """Verified before anything is sent, so that a token goes to nobody else. Raises Failed, TimeoutError."""
        context, pinned = self._files(path)
        try:
            # as bytes: for a str, Python loads its tables of international domain names, more than 1 MiB
            wrapped = context.wrap_socket(sock, server_hostname=self._name.encode())
        except TimeoutError:
            raise
        except OSError as error:
            raise Failed(path, _cause(error), f"TLS: {_said(error)}") from None
        if pinned is not None and wrapped.getpeercert(binary_form=True) not in pinned:
            wrapped.close()
            raise Failed(path, "tls_pin", f"TLS: shows another certificate than {self._trust.cert_file}")
        return wrapped

    def _files(self, path: str) -> tuple[SSLContext, frozenset[bytes] | None]:
        trust = self._trust
        try:
            if trust.cert_file and self._pinned is None:
                self._pinned = Reread(lambda: certificates(trust.cert_file), trust.cert_file)
            if self._context is None:
                ca_file = trust.ca_file or SERVICE_ACCOUNT_CA
                verified = not (trust.insecure or trust.cert_file)
                files = (ca_file,) if verified else ()
                self._context = Reread(lambda: _context(ca_file) if verified else unverified(), *files)
        except ConfigError as error:
            raise Failed(path, "files", str(error)) from None
        return self._context.get(), self._pinned.get() if self._pinned else None


def _context(ca_file: str) -> SSLContext:
    """Every certificate in the file is an anchor, so a self-signed or a leaf one may stand there too."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca_file)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def unverified() -> SSLContext:
    """Whoever it is. For a pinned certificate, which is compared afterwards, and for looking at one."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def certificates(path: str) -> frozenset[bytes]:
    """Those of a PEM file, as DER. Raises OSError, and ValueError for a file without any."""
    import ssl

    with open(path, encoding="ascii", errors="replace") as file:
        text = file.read(FILE_CHARS_MAX)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)  # refuses what is no certificate
    parts = [part.partition(_END) for part in text.split(_BEGIN)[1:]]
    return frozenset(ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{part}{end}") for part, end, _ in parts)


def _cause(error: OSError) -> Cause:
    code = getattr(error, "verify_code", None)
    if code is None:
        return "reset" if isinstance(error, ConnectionError) else "tls"
    if code in (_NOT_YET_VALID, _HAS_EXPIRED):
        return "tls_expired"
    if code in (_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH):
        return "tls_name"
    return "tls_untrusted"


def _said(error: OSError) -> str:
    """OpenSSL's own words, without where in its source they come from."""
    return str(getattr(error, "verify_message", "") or getattr(error, "reason", "") or error.strerror or error)
