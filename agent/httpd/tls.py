"""Server TLS from files: certificate, key and, to ask clients for theirs, a CA. Loaded only when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import ConfigError
from agent.httpd.files import Reread

if TYPE_CHECKING:
    from ssl import SSLContext


def server_context(cert: str, key: str, client_ca: str) -> Reread[SSLContext]:
    """A context that follows its files. With ``client_ca`` a client without a certificate of that CA is refused."""
    if not (cert and key):
        raise ConfigError("TLS needs both --http.tls-cert and --http.tls-key")
    paths = (cert, key, client_ca) if client_ca else (cert, key)
    return Reread(lambda: _context(cert, key, client_ca), *paths)


def _context(cert: str, key: str, client_ca: str) -> SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key, _no_passphrase)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_passphrase() -> str:
    """OpenSSL would ask whoever sits at the terminal, and serve nobody until then."""
    raise ValueError("it needs a passphrase; give a key without one")
