"""The settings of ``headroom aggregator``, besides those of its log."""

from __future__ import annotations

from typing import Final

from agent.config.setting import Setting

AGGREGATOR: Final = (
    Setting(
        "grpc-listen", "text", "127.0.0.1:9911", "Where agents stream to: HOST:PORT, [IPv6]:PORT, or :PORT for all."
    ),
    Setting("http-listen", "text", "127.0.0.1:9912", "Where to serve metrics, targets and the page."),
    Setting("data-dir", "text", "/var/lib/headroom/aggregator", "Where to store what the agents send."),
    Setting("retention", "seconds", 86400.0, "How long to keep it; six hours at a time are deleted."),
    Setting("cluster", "text", "default", "The cluster of nodes that name none."),
    Setting("grpc.tls-cert", "text", "", "PEM certificate (chain) for the streams; re-read when it changes."),
    Setting("grpc.tls-key", "text", "", "PEM key of --grpc.tls-cert; re-read when it changes."),
    Setting(
        "grpc.tls-client-ca",
        "text",
        "",
        "PEM CA of agents' certificates: spiffe://CLUSTER/node/NAME, or a DNS name or CN that is the node's.",
    ),
    Setting("tls-cert", "text", "", "The same as --grpc.tls-cert."),
    Setting("tls-key", "text", "", "The same as --grpc.tls-key."),
    Setting("tls-client-ca", "text", "", "The same as --grpc.tls-client-ca."),
    Setting("insecure", "bool", False, "Believe agents which node they are, without certificates."),
    Setting("http.tls-cert", "text", "", "PEM certificate (chain) to serve HTTPS with; re-read when it changes."),
    Setting("http.tls-key", "text", "", "PEM key of --http.tls-cert; re-read when it changes."),
    Setting("http.tls-client-ca", "text", "", "PEM CA: HTTP clients must show a certificate it signed."),
    Setting("http.token-file", "text", "", "Bearer tokens that may ask, one a line; re-read when it changes."),
    Setting("http.insecure", "bool", False, "Serve HTTP to other machines without TLS client certificates or tokens."),
)
