"""The settings of ``headroom agent``, ``up`` and ``doctor``, besides those of the collectors."""

from __future__ import annotations

from typing import Final

from agent.config.setting import Setting
from agent.log import LEVELS

LOG: Final = (
    Setting("log.level", "text", "info", "Only log messages with this severity or above.", tuple(LEVELS)),
    Setting("log.format", "text", "logfmt", "How log lines are written, to stderr.", ("logfmt", "json")),
)

KUBELET: Final = (
    Setting(
        "kubelet.url", "text", "", "The node's kubelet: https://HOST:PORT, or http:// on loopback; none by default."
    ),
    Setting("kubelet.ca-file", "text", "", "PEM CAs of the kubelet's certificate; without it the service account's."),
    Setting("kubelet.cert-file", "text", "", "PEM certificate that the kubelet must show exactly; needs no CA."),
    Setting("kubelet.server-name", "text", "", "The name in the kubelet's certificate, where it lacks the URL's host."),
    Setting("kubelet.token-file", "text", "", "Bearer token to ask with; without it the service account's, over TLS."),
    Setting("kubelet.insecure-skip-verify", "bool", False, "Send the token to whoever answers. A last resort."),
    Setting(
        "kubelet.allow-proxy",
        "bool",
        False,
        "For a kubelet before 1.33: doctor may suggest nodes/proxy. Requests are the same; RBAC is what decides.",
    ),
    Setting(
        "kubelet.poll-interval", "seconds", 60.0, "How often to ask at rest; while an eviction is near, every 10s."
    ),
    Setting(
        "kubelet.config-file", "text", "", "The kubelet's configuration file; without it the one it was started with."
    ),
    Setting(
        "kubelet.root-dir", "text", "", "The kubelet's root directory, on the node; without it where that is found."
    ),
    Setting("kubelet.cgroup-root", "text", "", "The kubelet's cgroupRoot; without it what its configz says, or /."),
)

RUNTIME: Final = (
    Setting("runtime.image-dir", "text", "", "The container runtime's image store; without it where that is found."),
)

HOST: Final = (
    Setting("path.procfs", "text", "/proc", "Where the node's procfs is mounted."),
    Setting("path.sysfs", "text", "/sys", "Where the node's sysfs is mounted."),
    Setting("path.rootfs", "text", "/", "Where the node's root filesystem is mounted."),
    Setting("path.udev.data", "text", "/run/udev/data", "Where the node's udev data is, as seen by the agent."),
    Setting("path.calls", "text", "", "A recorded node's answers to system calls; without it the kernel is asked."),
    Setting("cluster", "text", "", "The cluster this node is in."),
    Setting("node-name", "text", "", "This node's name in its cluster; in a pod, the nodename of node_uname_info."),
    *KUBELET,
    *RUNTIME,
)

AGENT: Final = (
    Setting("listen", "text", "127.0.0.1:9910", "Where to serve metrics: HOST:PORT, [IPv6]:PORT, or :PORT for all."),
    Setting("collection.deadline", "seconds", 2.0, "After this long a batch is made without a stuck collector."),
    Setting("pull.max-age", "seconds", 1.0, "How old a snapshot the parts of /metrics may share."),
    Setting("http.max-connections", "int", 64, "Open HTTP connections; one more displaces the longest idle."),
    Setting("http.tls-cert", "text", "", "PEM certificate (chain) to serve HTTPS with; re-read when it changes."),
    Setting("http.tls-key", "text", "", "PEM key of --http.tls-cert; re-read when it changes."),
    Setting("http.tls-client-ca", "text", "", "PEM CA: clients must show a certificate it signed."),
    Setting("http.token-file", "text", "", "Bearer tokens that may ask, one a line; re-read when it changes."),
    Setting("http.basic-file", "text", "", "user:password lines that may ask; re-read when it changes."),
    Setting("http.insecure", "bool", False, "Serve other machines without TLS client certificates or credentials."),
)

PUSH: Final = (
    Setting("push.target", "list", (), "HOST:PORT of an aggregator to stream to; of several the first that works."),
    Setting("push.interval", "seconds", 10.0, "How often to collect for the stream and the spool."),
    Setting("push.tls-ca", "text", "", "PEM CA of the aggregator's certificate; re-read when it changes."),
    Setting("push.tls-cert", "text", "", "PEM certificate (chain) that says which node this is; re-read as well."),
    Setting("push.tls-key", "text", "", "PEM key of --push.tls-cert; re-read as well."),
    Setting("push.token-file", "text", "", "Bearer token for the aggregator, over TLS only; re-read when it changes."),
    Setting("push.insecure", "bool", False, "Stream in plaintext, to whoever answers."),
    Setting("push.proxy", "text", "", "HTTP proxy to reach the aggregator through: HOST:PORT; no other is used."),
    Setting("spool.dir", "text", "", "Where records wait for an aggregator; without a target they are kept there."),
    Setting("spool.max-bytes", "bytes", 0, "The spool's bound; 0 is 256 MiB or 1 % of its filesystem, the lesser."),
)

UP: Final = (
    Setting("aggregator", "bool", True, "Run an aggregator too, and stream to it; not where --push.target is given."),
    Setting("grpc-listen", "text", "127.0.0.1:9911", "Where the aggregator takes streams."),
    Setting("http-listen", "text", "127.0.0.1:9912", "Where the aggregator serves pages and metrics."),
)

EVICTION: Final = (
    Setting("json", "bool", False, "Print one JSON document instead of the table."),
    Setting("watch", "bool", False, "Show it again every second until Ctrl-C."),
    Setting(
        "ask",
        "text",
        "",
        "URL of the agent whose answer to show, or none to read this node here; else the agent at --listen, if any.",
    ),
)
