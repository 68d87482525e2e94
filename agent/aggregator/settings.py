"""The settings of ``headroom aggregator``, besides those of its log."""

from __future__ import annotations

from typing import Final

from agent.config.setting import Setting

SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
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
    Setting(
        "grpc.token-review",
        "bool",
        False,
        "Know agents by the ServiceAccount token they send: Kubernetes' TokenReview says on which node its pod is. "
        "Needs TLS; with --grpc.tls-client-ca a certificate is needed too.",
    ),
    Setting("grpc.token-audience", "text", "headroom-aggregator", "The audience that agents' tokens are for."),
    Setting("grpc.token-account", "text", "headroom:headroom-agent", "NAMESPACE:NAME of the agents' ServiceAccount."),
    Setting(
        "grpc.token-review-url",
        "text",
        "",
        "The API server that reviews tokens, https://HOST:PORT; by default that of the cluster that this runs in.",
    ),
    Setting(
        "grpc.token-review-ca-file",
        "text",
        f"{SERVICE_ACCOUNT}/ca.crt",
        "PEM CA of the API server's certificate; re-read when it changes.",
    ),
    Setting(
        "grpc.token-review-token-file",
        "text",
        f"{SERVICE_ACCOUNT}/token",
        "The token to ask the API server with, which may create tokenreviews; re-read when it changes.",
    ),
    Setting("tls-cert", "text", "", "The same as --grpc.tls-cert."),
    Setting("tls-key", "text", "", "The same as --grpc.tls-key."),
    Setting("tls-client-ca", "text", "", "The same as --grpc.tls-client-ca."),
    Setting("insecure", "bool", False, "Believe agents which node they are, without certificates or tokens."),
    Setting("http.tls-cert", "text", "", "PEM certificate (chain) to serve HTTPS with; re-read when it changes."),
    Setting("http.tls-key", "text", "", "PEM key of --http.tls-cert; re-read when it changes."),
    Setting("http.tls-client-ca", "text", "", "PEM CA: HTTP clients must show a certificate it signed."),
    Setting("http.token-file", "text", "", "Bearer tokens that may ask, one a line; re-read when it changes."),
    Setting("http.insecure", "bool", False, "Serve HTTP to other machines without TLS client certificates or tokens."),
)
