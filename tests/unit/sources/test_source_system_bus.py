"""The message bus: bytes of D-Bus, and ends of sockets that misbehave."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jeepney import HeaderFields, Message, MessageFlag, MessageType

from agent.errors import Absent, Denied, Gone, Malformed, Overdue, SourceError, Unsupported
from agent.sources.system_bus import MESSAGE_BYTES_MAX, Bus, Call, get, message_size, method, parse_reply, request
from tests.unit.fake_systemd import Stranger, receive, until_closed, welcome

SYSTEMD = "org.freedesktop.systemd1"
RESTARTS = get("/org/freedesktop/systemd1/unit/nope_2eservice", f"{SYSTEMD}.Service", "NRestarts", "u")
VERSION = get("/org/freedesktop/systemd1", f"{SYSTEMD}.Manager", "Version", "s")
LIST_UNITS = method("/org/freedesktop/systemd1", f"{SYSTEMD}.Manager", "ListUnits", "a(ssssssouso)")

# As they came from systemd 257 through dbus-daemon 1.16, to questions 112, 114, 115, 109 and 116.
OF_RESTARTS = (
    b"l\x02\x01\x01\x08\x00\x00\x00\x84\r\x00\x00-\x00\x00\x00\x05\x01u\x00p\x00\x00\x00\x06\x01s\x00\x05\x00\x00\x00"
    b":1.16\x00\x00\x00\x08\x01g\x00\x01v\x00\x00\x07\x01s\x00\x04\x00\x00\x00:1.0\x00\x00\x00\x00"
    b"\x01u\x00\x00\x00\x00\x00\x00"
)
OF_VERSION = (
    b"l\x02\x01\x01\x19\x00\x00\x00\x85\r\x00\x00-\x00\x00\x00\x05\x01u\x00r\x00\x00\x00\x06\x01s\x00\x05\x00\x00\x00"
    b":1.16\x00\x00\x00\x08\x01g\x00\x01v\x00\x00\x07\x01s\x00\x04\x00\x00\x00:1.0\x00\x00\x00\x00"
    b"\x01s\x00\x00\x10\x00\x00\x00257.13-1~deb13u1\x00"
)
REFUSAL = (
    b"l\x03\x01\x01\x16\x00\x00\x00\xfe\r\x00\x00]\x00\x00\x00\x05\x01u\x00s\x00\x00\x00\x06\x01s\x00\x05\x00\x00\x00"
    b":1.17\x00\x00\x00\x04\x01s\x00'\x00\x00\x00org.freedesktop.DBus.Error.AccessDenied\x00\x08\x01g\x00\x01s\x00\x00"
    b"\x07\x01s\x00\x04\x00\x00\x00:1.0\x00\x00\x00\x00\x11\x00\x00\x00Permission denied\x00"
)
UNKNOWN_PROPERTY = (
    b"l\x03\x01\x01L\x00\x00\x00\x81\r\x00\x00e\x00\x00\x00\x05\x01u\x00m\x00\x00\x00\x06\x01s\x00\x05\x00\x00\x00"
    b":1.16\x00\x00\x00\x04\x01s\x00*\x00\x00\x00org.freedesktop.DBus.Error.UnknownProperty\x00\x00\x00\x00\x00\x00"
    b"\x08\x01g\x00\x01s\x00\x00\x07\x01s\x00\x04\x00\x00\x00:1.0\x00\x00\x00\x00G\x00\x00\x00"
    b"Unknown interface org.freedesktop.systemd1.Manager or property Nothing.\x00"
)
OF_UNITS = (
    b"l\x02\x01\x01f\x01\x00\x00p\x0e\x00\x00=\x00\x00\x00\x05\x01u\x00t\x00\x00\x00\x06\x01s\x00\x05\x00\x00\x00"
    b":1.18\x00\x00\x00\x08\x01g\x00\ra(ssssssouso)\x00\x00\x00\x00\x00\x00\x07\x01s\x00\x04\x00\x00\x00"
    b":1.0\x00\x00\x00\x00^\x01\x00\x00\x00\x00\x00\x00\n\x00\x00\x00tick.timer\x00\x00\n\x00\x00\x00tick.timer\x00\x00"
    b"\x06\x00\x00\x00loaded\x00\x00\x06\x00\x00\x00active\x00\x00\x07\x00\x00\x00waiting\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x00+\x00\x00\x00/org/freedesktop/systemd1/unit/tick_2etimer\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    b"\x00\x01\x00\x00\x00/\x00\x00\x00\x10\x00\x00\x00starting.service\x00\x00\x00\x00\x10\x00\x00\x00"
    b"starting.service\x00\x00\x00\x00\x06\x00\x00\x00loaded\x00\x00\n\x00\x00\x00activating\x00\x00\x05\x00\x00\x00"
    b"start\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x001\x00\x00\x00/org/freedesktop/systemd1/unit/starting_2eservice"
    b"\x00\x00\x004\x01\x00\x00\x05\x00\x00\x00start\x00\x00\x00!\x00\x00\x00/org/freedesktop/systemd1/job/308\x00"
)
NAME_ACQUIRED = (  # a signal
    b"l\x04\x01\x01\n\x00\x00\x00\x02\x00\x00\x00\x8d\x00\x00\x00\x01\x01o\x00\x15\x00\x00\x00/org/freedesktop/DBus\x00"
    b"\x00\x00\x02\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00\x03\x01s\x00\x0c\x00\x00\x00"
    b"NameAcquired\x00\x00\x00\x00\x06\x01s\x00\x05\x00\x00\x00:1.16\x00\x00\x00\x08\x01g\x00\x01s\x00\x00"
    b"\x07\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00\x05\x00\x00\x00:1.16\x00"
)
NO_OWNER = (
    b"l\x03\x01\x01%\x00\x00\x00\x03\x00\x00\x00u\x00\x00\x00\x06\x01s\x00\x05\x00\x00\x00:1.16\x00\x00\x00\x04\x01s\x00"
    b")\x00\x00\x00org.freedesktop.DBus.Error.NameHasNoOwner\x00\x00\x00\x00\x00\x00\x00\x05\x01u\x00q\x00\x00\x00"
    b"\x08\x01g\x00\x01s\x00\x00\x07\x01s\x00\x14\x00\x00\x00org.freedesktop.DBus\x00\x00\x00\x00 \x00\x00\x00"
    b'Name "org.nobody" does not exist\x00'
)
MESSAGES = (OF_RESTARTS, OF_VERSION, REFUSAL, UNKNOWN_PROPERTY, OF_UNITS, NAME_ACQUIRED, NO_OWNER)
ANY_CALL = dict.fromkeys(range(1, 200), RESTARTS) | {114: VERSION, 116: LIST_UNITS}


def outcome(message: bytes) -> object:
    """The value, or the error that was raised or answered."""
    try:
        return parse_reply(message, ANY_CALL)[1]
    except Malformed as error:
        return error


def test_a_question_is_one_message() -> None:
    """A call of Properties.Get with the number we gave it, that does not start a program that is not there."""
    message = Message.from_buffer(request(SYSTEMD, RESTARTS, 70_000))
    assert message.header.message_type is MessageType.method_call
    assert message.header.serial == 70_000
    assert message.header.flags == MessageFlag.no_auto_start
    assert message.header.fields == {
        HeaderFields.path: "/org/freedesktop/systemd1/unit/nope_2eservice",
        HeaderFields.interface: "org.freedesktop.DBus.Properties",
        HeaderFields.member: "Get",
        HeaderFields.destination: SYSTEMD,
        HeaderFields.signature: "ss",
    }
    assert message.body == ("org.freedesktop.systemd1.Service", "NRestarts")


def test_a_question_without_arguments() -> None:
    """It has no body."""
    message = Message.from_buffer(request(SYSTEMD, LIST_UNITS, 1))
    assert message.header.fields[HeaderFields.member] == "ListUnits"
    assert message.body == ()


@pytest.mark.parametrize("path", ["", "unit", "/unit/", "/a//b", "/a.b", "/a\n"])
def test_a_path_of_an_object_may_come_from_others(path: str) -> None:
    """One that is none is not sent."""
    with pytest.raises(Malformed, match="not the path of an object"):
        request(SYSTEMD, RESTARTS._replace(path=path), 1)


def test_a_value() -> None:
    """The number of the question, and the value without its variant."""
    assert parse_reply(OF_RESTARTS, {112: RESTARTS}) == (112, 0)
    assert parse_reply(OF_VERSION, {112: RESTARTS, 114: VERSION}) == (114, "257.13-1~deb13u1")


def test_a_table() -> None:
    """What a method returns, in Python's types."""
    number, rows = parse_reply(OF_UNITS, {116: LIST_UNITS})
    assert number == 116
    assert [row[0] for row in rows] == ["tick.timer", "starting.service"]
    assert rows[1][6:] == (
        "/org/freedesktop/systemd1/unit/starting_2eservice",
        308,
        "start",
        "/org/freedesktop/systemd1/job/308",
    )


@pytest.mark.parametrize(
    ("message", "number", "kind", "text"),
    [
        (REFUSAL, 115, Denied, "org.freedesktop.DBus.Error.AccessDenied: Permission denied"),
        (NO_OWNER, 113, Absent, 'org.freedesktop.DBus.Error.NameHasNoOwner: Name "org.nobody" does not exist'),
        (UNKNOWN_PROPERTY, 109, Unsupported, "org.freedesktop.DBus.Error.UnknownProperty: Unknown interface"),
        (REFUSAL.replace(b"AccessDenied", b"Surprise.All"), 115, SourceError, "Surprise.All: Permission denied"),
    ],
)
def test_an_error_is_an_answer(message: bytes, number: int, kind: type[SourceError], text: str) -> None:
    """It takes the place of the value, and is named by the property, not by the object."""
    found, error = parse_reply(message, {number: RESTARTS})
    assert found == number
    assert type(error) is kind
    assert error.path == "org.freedesktop.systemd1.Service.NRestarts"
    assert text in error.detail


@pytest.mark.parametrize("message", [NAME_ACQUIRED, OF_RESTARTS])
def test_what_nobody_asked_for_is_passed_over(message: bytes) -> None:
    """A signal, and the reply to another question."""
    assert parse_reply(message, {5: RESTARTS}) == (0, None)


@pytest.mark.parametrize(
    ("message", "number", "asked", "said"),
    [
        (OF_RESTARTS, 112, VERSION, "type vs expected: 'vu'"),
        (OF_VERSION, 114, RESTARTS, "type vu expected: 'vs'"),
        (OF_VERSION, 114, LIST_UNITS, "type a(ssssssouso) expected: 'vs'"),
        (OF_UNITS, 116, VERSION, "type vs expected: 'a(ssssssouso)'"),
        (OF_RESTARTS[:-8] + b"\x03a()\0\0\0\0", 112, RESTARTS, "type vu expected: 'va()'"),
    ],
)
def test_a_value_of_another_type_is_not_read(message: bytes, number: int, asked: Call, said: str) -> None:
    """It costs this question, and the error says what came."""
    found, error = parse_reply(message, {number: asked})
    assert found == number
    assert isinstance(error, Malformed)
    assert (error.path, error.detail) == (asked.what, said)


def test_an_endless_type_is_not_unpacked() -> None:
    """An array of structures with nothing in them never ends; it may also hide in the header."""
    spoilt = OF_RESTARTS.replace(
        b"\x06\x01s\x00\x05\x00\x00\x00:1.16\x00", b"\x06\x03a()\x00\x00\x00\xff\x00\x00\x00\x00\x00"
    )
    assert len(spoilt) == len(OF_RESTARTS)
    with pytest.raises(Malformed, match="empty structure"):
        parse_reply(spoilt, {112: RESTARTS})


@pytest.mark.parametrize("message", [message for message in MESSAGES if message is not NAME_ACQUIRED])
def test_a_truncated_message_is_malformed(message: bytes) -> None:
    """Wherever it ends; how long it should be is known from its beginning."""
    for end in range(16, len(message)):
        assert message_size(message[:end]) == len(message)
        assert isinstance(outcome(message[:end]), Malformed), end


def test_a_size_is_bounded() -> None:
    """What claims to be longer than any honest answer is refused before it is read."""
    claim = b"l\x02\x01\x01" + (MESSAGE_BYTES_MAX).to_bytes(4, "little") + OF_RESTARTS[8:16]
    with pytest.raises(Malformed, match=f"{MESSAGE_BYTES_MAX + 64} bytes"):
        message_size(claim)
    with pytest.raises(Malformed, match="not one"):
        message_size(b"HTTP/1.1 400 Bad")
    assert message_size(b"") == message_size(b"HTTP/1.1 400 Ba") == 16


spoilt_messages = st.builds(
    lambda message, changes: bytes(changes.get(i, byte) for i, byte in enumerate(message)),
    st.sampled_from(MESSAGES),
    st.dictionaries(st.integers(0, 150), st.integers(0, 255), max_size=8),
)


@given(
    st.one_of(
        st.binary(max_size=300), st.binary(max_size=300).map(lambda tail: OF_RESTARTS[:16] + tail), spoilt_messages
    )
)
def test_any_bytes(message: bytes) -> None:
    """They are a value, an error, nothing of ours, or Malformed."""
    assert isinstance(outcome(message), (str, int, list, SourceError, type(None)))
    try:
        assert message_size(message) >= 16
    except Malformed:
        assert len(message) >= 16


Meet = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def meet(tmp_path: Path) -> Iterator[Meet]:
    """The address of somebody who behaves so."""
    strangers: list[Stranger] = []

    def make(behave: Callable[[socket.socket], None]) -> str:
        strangers.append(Stranger(tmp_path, behave))
        return strangers[-1].address

    yield make
    for stranger in strangers:
        stranger.close()


def refuse(connection: socket.socket) -> None:
    receive(connection, b"\r\n")
    connection.sendall(b"REJECTED DBUS_COOKIE_SHA1\r\n")


def another_protocol(connection: socket.socket) -> None:
    receive(connection, b"\r\n")
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")


def garbage(connection: socket.socket) -> None:
    welcome(connection)
    connection.sendall(b"\xff" * 100)
    until_closed(connection)


def endless(connection: socket.socket) -> None:
    welcome(connection)
    connection.sendall(b"l\x02\x01\x01\xff\xff\xff\x7f" + OF_RESTARTS[8:])
    until_closed(connection)


def hang_up(connection: socket.socket) -> None:
    welcome(connection)


def silent_at_first(connection: socket.socket) -> None:
    until_closed(connection)


def silent_later(connection: socket.socket) -> None:
    welcome(connection)
    until_closed(connection)


def talkative(connection: socket.socket) -> None:
    """Sends signals and never the answer."""
    welcome(connection)
    connection.settimeout(0.01)
    while True:
        connection.sendall(NAME_ACQUIRED)
        try:
            if not connection.recv(4096):
                return
        except TimeoutError:
            continue


@pytest.mark.parametrize(
    ("behave", "kind", "text"),
    [
        (refuse, Denied, "does not accept this user"),
        (another_protocol, Malformed, "HTTP/1.1 400 Bad Request"),
        (garbage, Malformed, "not one"),
        (endless, Malformed, "bytes"),
        (hang_up, SourceError, "closed"),
        (silent_at_first, Overdue, "no connection within 0.2 s"),
        (silent_later, Overdue, "no answer within 0.2 s"),
        (talkative, Overdue, "no answer within 0.2 s"),
    ],
)
def test_who_is_no_bus(meet: Meet, behave: Callable[[socket.socket], None], kind: type[SourceError], text: str) -> None:
    """Whatever the other end does, we say what it was, soon."""
    with pytest.raises(kind, match=text) as caught:
        Bus(meet(behave), timeout_s=0.2 if kind is Overdue else 20)
    assert type(caught.value) is kind


def test_no_socket(tmp_path: Path) -> None:
    """Gone, with the path that was tried."""
    with pytest.raises(Gone, match=str(tmp_path / "nothing")):
        Bus(str(tmp_path / "nothing"), 1)


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    """A bus that ended leaves its socket behind: that is a failure."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left"))
    with pytest.raises(SourceError, match="Connection refused") as caught:
        Bus(str(tmp_path / "left"), 1)
    assert caught.value.reason == "failed"


def test_a_path_that_cannot_be_a_socket_s() -> None:
    """Longer than the kernel allows."""
    with pytest.raises(SourceError, match="too long"):
        Bus("/" + "x" * 200, 1)
