"""The command line, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import collectors
from agent.app import Agent
from agent.cli import COMMANDS, main
from agent.config.load import load
from agent.httpd.address import listen, parse_address
from agent.settings import AGENT, HOST, LOG, PUSH

QUIET = ("--collector.disable-defaults", "--collector.loadavg", "--collector.meminfo")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "usage: headroom COMMAND"),
        (["--help"], 0, "usage: headroom COMMAND"),
        (["--version"], 0, "headroom "),
        (["agnet"], 2, "did you mean agent?"),
        (["agent", "--lisen", "x"], 2, "no such flag: --lisen; did you mean --listen?"),
        (["agent", "--listen=nowhere"], 2, "expected HOST:PORT"),
        (["agent", "--listen", "0.0.0.0:9910"], 2, "--http.insecure"),
        (["agent", "--listen", ":9910"], 2, "--http.insecure"),
        (["agent", "--log.level", "loud"], 2, "not one of debug, info, warn, error"),
        (["agent", "--collection.deadline", "-1"], 2, "duration"),
        (["agent", "--collection.deadline", "0"], 2, "--collection.deadline: 10ms at least"),
        (["agent", "--http.max-connections", "0"], 2, "--http.max-connections: 1 at least"),
        (["agent", "--collector.cpu=false"], 2, "--collector.cpu takes no value; --no-collector.cpu turns it off"),
        (["agent", "--http.tls-cert", "/nowhere"], 2, "needs both"),
        (["agent", "--http.token-file", "/nowhere"], 2, "cannot use /nowhere"),
        (["agent", "--config", "/nowhere"], 2, "cannot read /nowhere"),
        (["agent", "--path.calls", "/nowhere"], 1, "/nowhere"),
    ],
)
def test_mistakes_are_one_line_and_their_exit_code(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 for usage and configuration, 1 for what failed, with one clear line."""
    assert main(arguments) == code
    shown = capsys.readouterr()
    assert said in shown.out + shown.err
    assert shown.err.count("\n") == (1 if code and arguments else 0)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_each_command_is_complete(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help lists every flag with its default and ends with 0."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    on_a_node = ("--path.procfs", "--listen", "--collector.netdev.device-exclude", "(default: /proc)")
    central = ("--grpc-listen", "--data-dir", "--insecure", "(default: 127.0.0.1:9912)")
    laboratory = ("--duration", "--nodes", "--interval", "--scenario", "--output", "--prometheus", "(default: 60.0)")
    own = {"aggregator": central, "compare": laboratory}.get(command, on_a_node)
    assert ".; repeatable" not in text
    assert own is not on_a_node or "Expose node_cpu_guest_seconds_total (default: enabled)." in text
    for flag in ("--config", "--log.format", *own):
        assert flag in text


def test_effective_values_are_shown_with_their_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--print-config says what would be obeyed and why, and starts nothing."""
    (tmp_path / "c.toml").write_text("[pull]\nmax-age = '3s'\n")
    monkeypatch.setenv("HEADROOM_NODE_NAME", "worker-1")
    assert main(["agent", "--config", str(tmp_path / "c.toml"), "--no-collector.arp", "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert "node-name = 'worker-1'  # environment variable HEADROOM_NODE_NAME" in shown
    assert f"pull.max-age = 3.0  # {tmp_path}/c.toml: pull.max-age" in shown
    assert "collector.arp.enabled = False  # flag --collector.arp" in shown
    assert "listen = '127.0.0.1:9910'  # default" in shown


def test_a_port_in_use_is_exit_1_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The address that cannot be had is named."""
    with listen(parse_address("127.0.0.1:0")) as taken:
        port = taken.getsockname()[1]
        assert main(["agent", "--listen", f"127.0.0.1:{port}", *QUIET]) == 1
    assert capsys.readouterr().err == f"headroom agent: cannot listen on 127.0.0.1:{port}: the port is in use\n"


def test_a_text_file_cannot_claim_what_the_agent_says_of_itself(tmp_path: Path) -> None:
    """The agent's own families come before files, so that it is the file that loses; the rest of it counts."""
    (tmp_path / "own.prom").write_text("headroom_http_connections 77\nmine 1\n")
    config = load(
        (*AGENT, *PUSH, *HOST, *LOG, *collectors.settings()),
        "",
        {},
        {"listen": "127.0.0.1:0", "collector.disable-defaults": True, "collector.textfile.enabled": True}
        | {"collector.textfile.directory": [str(tmp_path)]},
    )
    agent = Agent(config)
    agent._server.stop()
    blocks = agent.engine.collect(agent.engine.collectors).blocks
    said = {block.family.name: list(block.values) for block in blocks}
    assert (said["headroom_http_connections"], said["mine"]) == ([0], [1])
    assert said["headroom_collector_errors_total"] == [1]


def test_an_interrupt_is_no_defect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C while a command starts or looks ends it as the shell expects, without a traceback."""

    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("agent.commands.doctor", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == ""


def test_doctor_says_what_is_lost(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without a readable procfs the main job cannot run: exit 1 and a line for each collector."""
    tree = [f"--path.{name}={tmp_path}" for name in ("procfs", "sysfs", "rootfs")]
    assert main(["doctor", *tree, *QUIET]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("fail  collector meminfo") and "gone" in line for line in lines)
    assert any(line.startswith("lost  collector loadavg") for line in lines)
    assert main(["doctor", *QUIET, "--listen", "127.0.0.1:0"]) == 0
