"""A real dbus-daemon of the test's own, and a systemd on it that answers what was recorded, or what a test wants.

``tests/fixtures/systemd`` is of a Debian 13 virtual machine with systemd 257: what it answered over D-Bus about some of
its units, and what node_exporter 1.11.1 said of these at the same time. Among them are a service that crashed until
systemd gave up, one that failed, one that does not finish its start, a timer that triggered and one that never did, a
socket with two connections that refused a third, and a name with systemd's escapes.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from jeepney import HeaderFields, Message, MessageType, message_bus, new_error, new_method_return
from jeepney.io.blocking import open_dbus_connection

RECORDED = Path(__file__).resolve().parents[1] / "fixtures" / "systemd"
UNITS = "a(ssssssouso)"
MANAGER = "/org/freedesktop/systemd1"
Answer = tuple[str, Any]  # a D-Bus type and a value
CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    {rules}
  </policy>
  <limit name="max_replies_per_connection">128</limit>
</busconfig>
"""


class Failure(NamedTuple):
    """An error in place of an answer."""

    name: str
    text: str


class Silence:
    """No answer at all."""


class PrivateBus:
    """A dbus-daemon in a folder. It has the limits of a system's."""

    def __init__(self, folder: Path, rules: str = "") -> None:
        self.address = str(folder / "bus")
        self._configuration = folder / "bus.conf"
        self._configuration.write_text(CONFIGURATION.format(address=self.address, rules=rules))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it accepts connections."""
        command = ["dbus-daemon", f"--config-file={self._configuration}", "--nofork", "--print-address"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().startswith(b"unix:path=")

    def stop(self) -> None:
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.terminate()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


class FakeSystemd:
    """Owns systemd's name on a bus. What it answers may be changed while it runs.

    ``units`` is the answer to ListUnits; ``properties`` are by object and "Interface.Name". What is not there is
    answered as systemd does. ``askers`` are the connections that asked, one entry per question.
    """

    def __init__(self) -> None:
        recorded = json.loads((RECORDED / "answers.json").read_text())
        self.units: Answer | Failure | Silence = (UNITS, [tuple(unit["row"]) for unit in recorded["units"]])
        self.properties: dict[tuple[str, str], Answer | Failure | Silence] = {}
        for path, properties in (
            (MANAGER, recorded["manager"]),
            *((unit["row"][6], unit["properties"]) for unit in recorded["units"]),
        ):
            self.properties |= {(path, name): tuple(answer) for name, answer in properties.items()}
        self.askers: list[str] = []
        self._connection: Any = None
        self._thread = threading.Thread()

    def start(self, bus: PrivateBus) -> None:
        """Returns when it can be asked."""
        self._connection = open_dbus_connection(f"unix:path={bus.address}")
        self._connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.systemd1"), timeout=10)
        self._thread = threading.Thread(target=self._serve, args=(self._connection,))
        self._thread.start()

    def stop(self) -> None:
        if self._connection is not None:
            with suppress(OSError):  # the bus may be gone already
                self._connection.sock.shutdown(socket.SHUT_RDWR)
            self._thread.join()
            self._connection.close()
            self._connection = None

    def only(self, *names: str) -> None:
        """Forgets the other units."""
        assert isinstance(self.units, tuple)
        self.units = (UNITS, [row for row in self.units[1] if row[0] in names])

    def _serve(self, connection: Any) -> None:
        try:
            while True:
                message = connection.receive()
                if message.header.message_type is MessageType.method_call:
                    self.askers.append(message.header.fields[HeaderFields.sender])
                    self._reply(connection, message)
        except OSError:  # the bus went away, or we are stopped
            return

    def _reply(self, connection: Any, message: Message) -> None:
        answer = self._answer(message)
        if isinstance(answer, Failure):
            connection.send(new_error(message, answer.name, "s", (answer.text,)))
        elif not isinstance(answer, Silence):
            connection.send(new_method_return(message, answer[0], (answer[1],)))

    def _answer(self, message: Message) -> Answer | Failure | Silence:
        fields = message.header.fields
        if fields[HeaderFields.member] == "ListUnits":
            return self.units
        interface, name = message.body
        what = f"{interface.removeprefix('org.freedesktop.systemd1.')}.{name}"
        answer = self.properties.get((fields[HeaderFields.path], what))
        if answer is None:
            text = f"Unknown interface {interface} or property {name}."
            return Failure("org.freedesktop.DBus.Error.UnknownProperty", text)
        return ("v", answer) if isinstance(answer, tuple) and not isinstance(answer, Failure) else answer


class Stranger:
    """A socket whose other end is no bus: it does with its one connection what it was told, in a thread."""

    def __init__(self, folder: Path, behave: Callable[[socket.socket], None]) -> None:
        self.address = str(folder / "stranger")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.address)
        self._listener.listen()
        self._listener.settimeout(30)
        self._behave = behave
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self._behave(connection)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


def receive(connection: socket.socket, end: bytes) -> None:
    """Reads as far as that."""
    received = b""
    while end not in received:
        chunk = connection.recv(4096)
        assert chunk, received
        received += chunk


def welcome(connection: socket.socket) -> None:
    """The part of a bus in authentication, and the first question."""
    receive(connection, b"\r\n")
    connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
    receive(connection, b"Hello")


def until_closed(connection: socket.socket) -> None:
    """Waits for the other end to hang up."""
    while True:
        try:
            if not connection.recv(4096):
                return
        except ConnectionResetError:
            return
