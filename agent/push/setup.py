"""The push sink from its settings. Raises ConfigError for those that contradict each other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from agent import __version__, log
from agent.config.load import Config
from agent.errors import ConfigError, SourceError
from agent.httpd.address import parse_address
from agent.push.messages import Identity
from agent.push.sink import Plan, Sink
from agent.push.spool import Limits, Spool
from agent.sources.host import Host

if TYPE_CHECKING:
    from agent.eviction.watch import Watch
    from agent.push.transport import Transport

INTERVAL_LEAST_S: Final = 0.1
BOOT_ID: Final = "sys/kernel/random/boot_id"


def sink_of(config: Config, host: Host, watch: Watch | None) -> Sink:
    """Nothing runs yet."""
    if config["push.interval"] < INTERVAL_LEAST_S:
        raise ConfigError("--push.interval: 100ms at least")
    transport = _transport(config)
    directory = config["spool.dir"] or _temporary()
    most = config["spool.max-bytes"]
    limits = Limits(max_bytes=most) if most else None
    plan = Plan(
        config["push.interval"],
        min(config["pull.max-age"], config["push.interval"] / 2),
        directory,
        not config["spool.dir"],
    )
    return Sink(plan, lambda: Spool(directory, limits), watch, _identity(config, host), transport)


def _transport(config: Config) -> Transport | None:
    targets = config["push.target"]
    if not targets:
        return None
    for target in targets:
        try:
            address = parse_address(target)
        except ConfigError as error:
            raise ConfigError(f"--push.target: {error}") from None
        if not (address.host and address.port):
            raise ConfigError(f"--push.target {target}: HOST:PORT of an aggregator expected")
    _check_security(config)
    try:
        from agent.push.transport import Security, Transport  # loads grpc
    except ModuleNotFoundError as error:
        if error.name != "grpc":
            raise
        raise ConfigError(
            "--push.target: this installation has no gRPC and can only be scraped or spool: "
            "pip install grpcio, or take the image without -pull in its tag"
        ) from None
    ca, cert, key, token = (config[f"push.{name}"] for name in ("tls-ca", "tls-cert", "tls-key", "token-file"))
    return Transport(targets, Security(ca, cert, key, token, config["push.insecure"], config["push.proxy"]))


def _check_security(config: Config) -> None:
    cert, key, ca = (config[f"push.tls-{name}"] for name in ("cert", "key", "ca"))
    if config["push.insecure"]:
        if cert or key or ca or config["push.token-file"]:
            raise ConfigError(
                "--push.insecure is plaintext: no certificate is shown or verified, and no token sent; give it up, or "
                "--push.tls-ca, -cert, -key and --push.token-file"
            )
    elif not ca:
        raise ConfigError(
            "--push.target needs --push.tls-ca, the CA of the aggregator's certificate; or accept with --push.insecure "
            "that whoever is on the way reads and writes what is sent"
        )
    if bool(cert) != bool(key):
        raise ConfigError("TLS needs both --push.tls-cert and --push.tls-key")


def _temporary() -> str:
    import tempfile  # rarely needed

    directory = tempfile.mkdtemp(prefix="headroom-spool-")
    log.warn(
        "no --spool.dir: what no aggregator has taken lasts no longer than this machine's temporary files",
        directory=directory,
    )
    return directory


def _identity(config: Config, host: Host) -> Identity:
    try:
        boot_id = bytes.fromhex(host.procfs.read_once(BOOT_ID).decode("ascii", "replace").strip().replace("-", ""))
    except (SourceError, ValueError):
        boot_id = b""  # a recorded node has none
    node = config["node-name"] or os.uname().nodename
    # Without a cluster of its own a node is in the one that its credential, or the aggregator, names.
    return Identity(__version__, config["cluster"], node, boot_id[:16], round(config["push.interval"] * 1000))
