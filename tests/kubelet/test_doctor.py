"""What ``headroom doctor`` says of the kubelet: the missing grant, and the TLS setting that would fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli import main
from tests.kubelet import scripted
from tests.kubelet.conftest import Start
from tests.kubelet.scripted import Script, ScriptedKubelet, says

pytestmark = pytest.mark.needs("openssl")
QUIET = ("--collector.disable-defaults", "--collector.loadavg", "--collector.meminfo", "--listen", "127.0.0.1:0")
Ask = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], certificates: Path) -> Ask:
    """Runs the command. Per path of the kubelet its state and what is said of it."""

    def run(kubelet: ScriptedKubelet | str, *flags: str, code: int = 0) -> dict[str, tuple[str, str]]:
        url = kubelet if isinstance(kubelet, str) else kubelet.url
        flags = tuple(flag.replace("CERTIFICATES", str(certificates)) for flag in flags)
        assert main(["doctor", *QUIET, *(["--kubelet.url", url] if url else []), *flags]) == code
        found = {}
        for line in capsys.readouterr().out.splitlines():
            if " kubelet" in line and not line.startswith("ok:"):
                state, _, rest = line.partition("  kubelet")
                subject, _, detail = rest.strip().partition("  ")
                found[subject] = (state.strip(), detail.strip())
        return found

    return run


CA = "--kubelet.ca-file=CERTIFICATES/ca.pem"


def test_a_kubelet_that_answers(start: Start, ask: Ask) -> None:
    """One line per path, with the grant that it needs."""
    assert ask(start("signed"), CA) == {
        "/pods": ("ok", "by get on nodes/pods"),
        "/stats/summary": ("ok", "by get on nodes/stats"),
        "/configz": ("ok", "by get on nodes/configz"),
        "/flagz": ("ok", "by get on nodes/configz"),
    }


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (says(404, b"404 page not found"), "with the feature gate ComponentFlagz (not_found: status 404: 404 page"),
        (scripted.forbidden, "grant get on nodes/configz (forbidden: status 403"),
        (says(406), "status: status 406"),
        (says(200, b"{}"), "content_type: application/json instead of text/plain"),
    ],
)
def test_flags_are_not_served_by_many(start: Start, ask: Ask, script: Script, said: str) -> None:
    """Nothing is lost; the reason is there for who wants them."""
    kubelet = start("signed")
    kubelet.script[scripted.FLAGZ] = script
    found = ask(kubelet, CA)
    state, detail = found.pop(scripted.FLAGZ)
    assert state == "none"
    assert said in detail
    assert [state for state, _ in found.values()] == ["ok"] * 3


def test_flags_are_not_asked_of_who_does_not_tell_its_configuration(start: Start, ask: Ask) -> None:
    """Its reason would be the same."""
    kubelet = start("signed")
    kubelet.script["/configz"] = scripted.forbidden
    assert list(ask(kubelet, CA)) == list(scripted.DOCUMENTS)
    assert scripted.FLAGZ not in [path for path, _ in kubelet.requests]


def test_no_kubelet_is_no_error(ask: Ask) -> None:
    """The agent runs without; what is lost is one line."""
    assert ask("") == {"not asked: give --kubelet.url, such as https://$(NODE_IP):10250": ("lost", "")}


@pytest.mark.parametrize(
    ("script", "flags", "said"),
    [
        (scripted.forbidden, (), ("get on nodes/pods (", "get on nodes/stats (", "get on nodes/configz (")),
        (
            scripted.forbidden_before_133,
            (),
            ("--kubelet.allow-proxy (", "grant get on nodes/stats (", "--kubelet.allow-proxy ("),
        ),
        (
            scripted.forbidden_before_133,
            ("--kubelet.allow-proxy",),
            ("grant get on nodes/proxy, ", "grant get on nodes/stats (", "grant get on nodes/proxy, "),
        ),
        (says(401, b"Unauthorized"), (), ("--kubelet.token-file (unauthorized",) * 3),
        (says(404), (), ("not_found: status 404", "not_found: status 404", "enableDebuggingHandlers: false")),
        (says(500, b"no imageFs"), (), ("server_error: status 500: no imageFs",) * 3),
        (says(200, b"{"), (), ("malformed: ",) * 3),
    ],
)  # fmt: skip
def test_a_refusal_names_its_cure(
    start: Start, ask: Ask, script: Script, flags: tuple[str, ...], said: tuple[str, str, str]
) -> None:
    """The verb and the subresource; nodes/proxy is only suggested to who accepts it."""
    kubelet = start("signed")
    kubelet.script = dict.fromkeys(scripted.DOCUMENTS, script)
    found = ask(kubelet, CA, *flags)
    for path, expected in zip(scripted.DOCUMENTS, said, strict=True):
        state, detail = found[path]
        assert state == "lost"
        assert expected in detail


def test_one_path_may_be_refused_alone(start: Start, ask: Ask) -> None:
    """The others are examined all the same."""
    kubelet = start("signed")
    kubelet.script["/pods"] = scripted.forbidden
    assert [state for state, _ in ask(kubelet, CA).values()] == ["lost", "ok", "ok", "ok"]


@pytest.mark.parametrize(
    ("shown", "flags", "said"),
    [
        ("own", (CA,), "mount that (/var/lib/kubelet/pki/kubelet.crt) and give it as --kubelet.cert-file, or as"
         " --kubelet.ca-file with --kubelet.server-name worker-1"),
        ("kubeadm", (CA,), "it signed its certificate itself: mount that (/var/lib/kubelet/pki/kubelet.crt)"),
        ("own", ("--kubelet.ca-file=CERTIFICATES/own.pem",), "give --kubelet.server-name worker-1 (tls_name"),
        ("bare", (CA,), "and give it as --kubelet.cert-file (tls_untrusted"),
        ("bare", ("--kubelet.ca-file=CERTIFICATES/bare.pem",), "has no names at all: pin it with --kubelet.cert-file"),
        ("elsewhere", (CA,), "is not for 127.0.0.1: give --kubelet.server-name worker-2"),
        ("expired", (CA,), "not valid now, until Feb  1 00:00:00 2020 GMT: renew it, or pin it"),
        ("signed", ("--kubelet.ca-file=CERTIFICATES/own.pem",), "by test-ca: give that CA as --kubelet.ca-file ("),
        ("signed", ("--kubelet.cert-file=CERTIFICATES/own.pem",), "signed by test-ca: give that CA"),
        ("own", ("--kubelet.cert-file=CERTIFICATES/bare.pem",), "mount that (/var/lib/kubelet/pki/kubelet.crt)"),
    ],
)  # fmt: skip
def test_a_certificate_is_looked_at(start: Start, ask: Ask, shown: str, flags: tuple[str, ...], said: str) -> None:
    """Which of the three ways would fit; nothing is asked of who is not trusted."""
    kubelet = start(shown)
    for state, detail in ask(kubelet, *flags).values():
        assert state == "lost"
        assert said in detail
    assert kubelet.requests == []


def test_what_is_suggested_works(start: Start, ask: Ask) -> None:
    """Each of the settings that the lines above name."""
    own, elsewhere = start("own"), start("elsewhere")
    for kubelet, flags in (
        (own, ("--kubelet.cert-file=CERTIFICATES/own.pem",)),
        (own, ("--kubelet.ca-file=CERTIFICATES/own.pem", "--kubelet.server-name=worker-1")),
        (elsewhere, (CA, "--kubelet.server-name=worker-2")),
    ):
        assert {state for state, _ in ask(kubelet, *flags).values()} == {"ok"}


def test_no_verification_is_said(start: Start, ask: Ask) -> None:
    """It works, and what it costs is a line."""
    found = ask(start("bare"), "--kubelet.insecure-skip-verify")
    assert found.pop("TLS") == ("lost", "not verified: whoever answers in its place gets our token")
    assert {state for state, _ in found.values()} == {"ok"}


def test_a_port_without_tls(start: Start, ask: Ask) -> None:
    """Or without anything."""
    plain = start("").url.replace("http:", "https:")
    assert all(state == "lost" for state, _ in ask(plain, CA).values())
    (_, refused), *_ = ask("https://127.0.0.1:1", CA).values()
    assert refused.startswith("nothing listens at https://127.0.0.1:1 (refused")


def test_outside_a_pod_there_is_no_ca(start: Start, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service account's is the default."""
    monkeypatch.setattr("agent.sources.kubelet.trust.SERVICE_ACCOUNT_CA", "/nowhere/ca.crt")
    monkeypatch.setattr("agent.sources.kubelet.diagnosis.SERVICE_ACCOUNT_CA", "/nowhere/ca.crt")
    for _, detail in ask(start("signed")).values():
        assert detail.startswith(
            "not in a pod: give --kubelet.ca-file or --kubelet.cert-file (files: cannot use /nowhere"
        )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--kubelet.url", "http://10.0.0.1:10255"), "only on loopback"),
        (("--kubelet.url", "https://a", "--kubelet.ca-file", "x", "--kubelet.cert-file", "y"), "exclude each other"),
        (
            ("--kubelet.url", "https://a", "--kubelet.insecure-skip-verify", "--kubelet.ca-file", "x"),
            "verifies nothing",
        ),
        (("--kubelet.url", "https://a", "--kubelet.poll-interval", "0.5s"), "1s at least"),
        (("--kubelet.url", "https://a", "--kubelet.poll-interval", "6m"), "4m at most"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    flags: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is served."""
    assert main(["agent", *QUIET, *flags]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
