"""The message bus: questions to another program on this machine, each with a bound.

Source: a Unix socket, usually /run/dbus/system_bus_socket; the D-Bus specification. jeepney speaks the protocol. It is
an optional dependency, and this module its only importer: load it where it is needed.
Since: D-Bus 1.0; dbus-daemon and dbus-broker are alike here.
Shape: per call one reply, an error or a value of a D-Bus type. Units: the program's.
Errors: Gone without a socket, Denied when the bus refuses us, Overdue without an answer, Malformed for bytes that are
not D-Bus. What the program answers to one call costs that call, not the connection. Cost: see systemd.py.

What arrives is untrusted: only replies to our own calls are read, and those only after a look at their size and type.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from jeepney import (  # type: ignore[import-untyped]
    DBusAddress,
    Header,
    HeaderFields,
    MessageFlag,
    MessageType,
    new_method_call,
)
from jeepney.auth import AuthenticationError  # type: ignore[import-untyped]
from jeepney.io.blocking import prep_socket  # type: ignore[import-untyped]
from jeepney.low_level import calc_msg_size, parse_signature  # type: ignore[import-untyped]

from agent.errors import Absent, Denied, Gone, Malformed, Overdue, SourceError, Unsupported, from_oserror

MESSAGE_BYTES_MAX: Final = 8 << 20  # systemd's list of 12,000 units
WINDOW: Final = 64  # dbus-daemon lets a connection have 128 unanswered calls
REQUESTS_KEPT_MAX: Final = 4096
_FIXED_HEADER_BYTES: Final = 16
_CHUNK: Final = 65536

# What jeepney raises for bytes that are not D-Bus: it finds out as it unpacks them.
_GARBAGE: Final = (ValueError, LookupError, TypeError, AssertionError, RecursionError, struct.error)

_BY_ERROR_NAME: Final[dict[str, type[SourceError]]] = {
    "org.freedesktop.DBus.Error.AccessDenied": Denied,
    "org.freedesktop.DBus.Error.NameHasNoOwner": Absent,
    "org.freedesktop.DBus.Error.NoReply": Overdue,
    "org.freedesktop.DBus.Error.ServiceUnknown": Absent,
    "org.freedesktop.DBus.Error.UnknownInterface": Unsupported,
    "org.freedesktop.DBus.Error.UnknownMethod": Unsupported,
    "org.freedesktop.DBus.Error.UnknownObject": Gone,
    "org.freedesktop.DBus.Error.UnknownProperty": Unsupported,
}


class Call(NamedTuple):
    """A method call whose arguments are texts. ``answer`` is the D-Bus type it must return; ``vs`` is a variant with s.

    Errors name ``what``, which is the same for all objects: they are said once, and not once per object.
    """

    path: str
    interface: str
    member: str
    answer: str
    arguments: tuple[str, ...]
    what: str


def method(path: str, interface: str, member: str, answer: str) -> Call:
    return Call(path, interface, member, answer, (), f"{interface}.{member}")


def get(path: str, interface: str, name: str, type: str) -> Call:
    """The value of a property."""
    return Call(path, "org.freedesktop.DBus.Properties", "Get", f"v{type}", (interface, name), f"{interface}.{name}")


class Bus:
    """One connection, closed when it is let go of or raised an error. Threads: one at a time.

    ``timeout_s`` bounds the wait for the connection, and for the replies to each ``WINDOW`` of calls.
    """

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._received = bytearray()
        self._serial = 0
        self._socket = _connect(address, timeout_s)
        hello = method("/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", "s")
        answer = self.ask("org.freedesktop.DBus", (hello,))[0]
        if isinstance(answer, SourceError):
            self._socket.close()
            raise answer

    def __del__(self) -> None:
        if hasattr(self, "_socket"):
            self._socket.close()

    def ask(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """What the program of that name answers to each call: a value, or the SourceError in its place."""
        answers: list[Any] = []
        try:
            for start in range(0, len(calls), WINDOW):
                answers += self._ask_at_once(name, calls[start : start + WINDOW])
        except TimeoutError:
            failure: SourceError = Overdue(self._address, f"no answer within {self._timeout_s:g} s")
        except OSError as error:
            failure = from_oserror(error, self._address)
        except SourceError as error:
            failure = error
        else:
            return answers
        self._socket.close()
        raise failure

    def _ask_at_once(self, name: str, calls: Sequence[Call]) -> list[Any]:
        numbered = dict(enumerate(calls, self._serial + 1))
        self._serial += len(calls)
        deadline_s = time.monotonic() + self._timeout_s
        self._socket.settimeout(self._timeout_s)
        self._socket.sendall(b"".join(request(name, call, serial) for serial, call in numbered.items()))
        answers: dict[int, Any] = {}
        while len(answers) < len(numbered):
            serial, answer = parse_reply(self._receive(deadline_s), numbered)
            if serial:  # else it is a signal, or nobody's
                answers[serial] = answer
        return [answers[serial] for serial in numbered]

    def _receive(self, deadline_s: float) -> bytes:
        """The next message, whole."""
        while (size := message_size(self._received)) > len(self._received):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            chunk = self._socket.recv(_CHUNK)
            if not chunk:
                raise ConnectionResetError(0, "the bus closed the connection")
            self._received += chunk
        message = bytes(self._received[:size])
        del self._received[:size]
        return message


def _connect(address: str, timeout_s: float) -> Any:
    """A socket whose other end accepted who we are."""
    try:
        return prep_socket(address, timeout=timeout_s)
    except TimeoutError:
        raise Overdue(address, f"no connection within {timeout_s:g} s") from None
    except OSError as error:
        raise from_oserror(error, address) from None
    except AuthenticationError as error:
        if error.data.startswith(b"REJECTED"):
            raise Denied(address, "the bus does not accept this user") from None
        raise Malformed(address, "not a message bus", bytes(error.data)) from None


def request(name: str, call: Call, serial: int) -> bytes:
    """The call as a message to the program of that name. It starts nothing: a program that is not there stays so."""
    message = _request(name, call)
    return message[:8] + struct.pack("<I", serial) + message[12:]


@lru_cache(REQUESTS_KEPT_MAX)  # jeepney takes 26 us to write one, and the next collection asks the same
def _request(name: str, call: Call) -> bytes:
    signature = "s" * len(call.arguments) or None
    try:
        address = DBusAddress(call.path, name, call.interface)
    except ValueError:
        raise Malformed(call.what, "not the path of an object", call.path) from None
    message = new_method_call(address, call.member, signature, call.arguments)
    message.header.flags = MessageFlag.no_auto_start
    return bytes(message.serialise(serial=0))


def message_size(received: bytes | bytearray) -> int:
    """How many bytes the first message has, or at least has. Raises Malformed."""
    if len(received) < _FIXED_HEADER_BYTES:
        return _FIXED_HEADER_BYTES
    try:
        size = int(calc_msg_size(received[:_FIXED_HEADER_BYTES]))
    except _GARBAGE:
        raise Malformed("D-Bus message", "not one", bytes(received[:_FIXED_HEADER_BYTES])) from None
    if size > MESSAGE_BYTES_MAX:
        raise Malformed("D-Bus message", f"{size} bytes")
    return size


def parse_reply(message: bytes, numbered: Mapping[int, Call]) -> tuple[int, Any]:
    """Which of the calls it answers, and the value or the SourceError it brings; (0, None) for none of them.

    Raises Malformed.
    """
    fields_bytes = int.from_bytes(message[12:16], "little" if message[:1] == b"l" else "big")
    if b"()" in message[: _FIXED_HEADER_BYTES + fields_bytes]:  # no type of D-Bus, and jeepney would never finish
        raise Malformed("D-Bus message", "an empty structure", message[:120])
    try:
        header, end = Header.from_buffer(message)
        serial = header.fields.get(HeaderFields.reply_serial, 0)
        if serial not in numbered:
            return 0, None
        return serial, _answer(numbered[serial], message, header, end + -end % 8)
    except _GARBAGE as error:
        raise Malformed("D-Bus message", type(error).__name__, message[:120]) from None


def _answer(call: Call, message: bytes, header: Any, body_at: int) -> Any:
    """The value or the SourceError in a reply. What is not of the expected type is not unpacked."""
    signature = header.fields.get(HeaderFields.signature, "")
    if header.message_type is MessageType.error:
        text = _type("s").parse_data(message, body_at, header.endianness)[0] if signature == "s" else ""
        name = str(header.fields.get(HeaderFields.error_name))
        return _BY_ERROR_NAME.get(name, SourceError)(call.what, f"{name}: {text}"[:200])
    found = signature
    if signature == "v":
        found += message[body_at + 1 : body_at + 1 + message[body_at]].decode("ascii")
    if found != call.answer:
        return Malformed(call.what, f"type {call.answer} expected", str(found))
    answer = _type(signature).parse_data(message, body_at, header.endianness)[0]
    return answer[1] if signature == "v" else answer


@cache
def _type(signature: str) -> Any:
    return parse_signature(list(signature))
