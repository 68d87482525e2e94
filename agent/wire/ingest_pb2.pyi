from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Lane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANE_UNSPECIFIED: _ClassVar[Lane]
    LANE_SAMPLES: _ClassVar[Lane]
    LANE_EVENTS: _ClassVar[Lane]
LANE_UNSPECIFIED: Lane
LANE_SAMPLES: Lane
LANE_EVENTS: Lane

class AgentMessage(_message.Message):
    __slots__ = ("hello", "header", "record", "lost", "goodbye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    header: Header
    record: Record
    lost: Lost
    goodbye: Goodbye
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., header: _Optional[_Union[Header, _Mapping]] = ..., record: _Optional[_Union[Record, _Mapping]] = ..., lost: _Optional[_Union[Lost, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

class AggregatorMessage(_message.Message):
    __slots__ = ("welcome", "ack")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ack: Ack
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "agent_version", "cluster", "node", "boot_id", "interval_ms", "sent_unix_ms", "sessions", "spool_bytes", "spool_limit_bytes")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    SENT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    SPOOL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SPOOL_LIMIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    agent_version: str
    cluster: str
    node: str
    boot_id: bytes
    interval_ms: int
    sent_unix_ms: int
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    spool_bytes: int
    spool_limit_bytes: int
    def __init__(self, protocol: _Optional[int] = ..., agent_version: _Optional[str] = ..., cluster: _Optional[str] = ..., node: _Optional[str] = ..., boot_id: _Optional[bytes] = ..., interval_ms: _Optional[int] = ..., sent_unix_ms: _Optional[int] = ..., sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., spool_bytes: _Optional[int] = ..., spool_limit_bytes: _Optional[int] = ...) -> None: ...

class Key(_message.Message):
    __slots__ = ("spool_id", "lane", "number")
    SPOOL_ID_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    spool_id: bytes
    lane: Lane
    number: int
    def __init__(self, spool_id: _Optional[bytes] = ..., lane: _Optional[_Union[Lane, str]] = ..., number: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("key", "sid", "base", "first", "last", "sealed")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SID_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    key: Key
    sid: bytes
    base: int
    first: int
    last: int
    sealed: bool
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., sid: _Optional[bytes] = ..., base: _Optional[int] = ..., first: _Optional[int] = ..., last: _Optional[int] = ..., sealed: _Optional[bool] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("states", "live_window", "backfill_window", "max_record_bytes", "aggregator_unix_ms", "store_id")
    STATES_FIELD_NUMBER: _ClassVar[int]
    LIVE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    BACKFILL_WINDOW_FIELD_NUMBER: _ClassVar[int]
    MAX_RECORD_BYTES_FIELD_NUMBER: _ClassVar[int]
    AGGREGATOR_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[State]
    live_window: int
    backfill_window: int
    max_record_bytes: int
    aggregator_unix_ms: int
    store_id: bytes
    def __init__(self, states: _Optional[_Iterable[_Union[State, _Mapping]]] = ..., live_window: _Optional[int] = ..., backfill_window: _Optional[int] = ..., max_record_bytes: _Optional[int] = ..., aggregator_unix_ms: _Optional[int] = ..., store_id: _Optional[bytes] = ...) -> None: ...

class State(_message.Message):
    __slots__ = ("key", "committed", "closed")
    KEY_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    key: Key
    committed: int
    closed: bool
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., committed: _Optional[int] = ..., closed: _Optional[bool] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("states",)
    STATES_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[State]
    def __init__(self, states: _Optional[_Iterable[_Union[State, _Mapping]]] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Lost(_message.Message):
    __slots__ = ("key", "first", "last", "reason")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNSPECIFIED: _ClassVar[Lost.Reason]
        SPOOL_FULL: _ClassVar[Lost.Reason]
        CORRUPT: _ClassVar[Lost.Reason]
        DISK: _ClassVar[Lost.Reason]
        DISK_PRESSURE: _ClassVar[Lost.Reason]
        VANISHED: _ClassVar[Lost.Reason]
        REJECTED: _ClassVar[Lost.Reason]
    UNSPECIFIED: Lost.Reason
    SPOOL_FULL: Lost.Reason
    CORRUPT: Lost.Reason
    DISK: Lost.Reason
    DISK_PRESSURE: Lost.Reason
    VANISHED: Lost.Reason
    REJECTED: Lost.Reason
    KEY_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    key: Key
    first: int
    last: int
    reason: Lost.Reason
    def __init__(self, key: _Optional[_Union[Key, _Mapping]] = ..., first: _Optional[int] = ..., last: _Optional[int] = ..., reason: _Optional[_Union[Lost.Reason, str]] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("format", "key", "sid", "base", "first", "schema")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    SID_FIELD_NUMBER: _ClassVar[int]
    BASE_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    format: int
    key: Key
    sid: bytes
    base: int
    first: int
    schema: Schema
    def __init__(self, format: _Optional[int] = ..., key: _Optional[_Union[Key, _Mapping]] = ..., sid: _Optional[bytes] = ..., base: _Optional[int] = ..., first: _Optional[int] = ..., schema: _Optional[_Union[Schema, _Mapping]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("sid", "seq", "body_bytes", "body_crc32", "body")
    SID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    BODY_BYTES_FIELD_NUMBER: _ClassVar[int]
    BODY_CRC32_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    sid: bytes
    seq: int
    body_bytes: int
    body_crc32: int
    body: bytes
    def __init__(self, sid: _Optional[bytes] = ..., seq: _Optional[int] = ..., body_bytes: _Optional[int] = ..., body_crc32: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class Body(_message.Message):
    __slots__ = ("more", "tick", "events")
    MORE_FIELD_NUMBER: _ClassVar[int]
    TICK_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    more: Schema
    tick: Tick
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, more: _Optional[_Union[Schema, _Mapping]] = ..., tick: _Optional[_Union[Tick, _Mapping]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Schema(_message.Message):
    __slots__ = ("families", "symbols", "slot_family", "keys", "slot_scale", "slot_scope")
    FAMILIES_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    SLOT_FAMILY_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    SLOT_SCALE_FIELD_NUMBER: _ClassVar[int]
    SLOT_SCOPE_FIELD_NUMBER: _ClassVar[int]
    families: _containers.RepeatedCompositeFieldContainer[Family]
    symbols: _containers.RepeatedScalarFieldContainer[str]
    slot_family: _containers.RepeatedScalarFieldContainer[int]
    keys: _containers.RepeatedScalarFieldContainer[int]
    slot_scale: _containers.RepeatedScalarFieldContainer[int]
    slot_scope: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, families: _Optional[_Iterable[_Union[Family, _Mapping]]] = ..., symbols: _Optional[_Iterable[str]] = ..., slot_family: _Optional[_Iterable[int]] = ..., keys: _Optional[_Iterable[int]] = ..., slot_scale: _Optional[_Iterable[int]] = ..., slot_scope: _Optional[_Iterable[int]] = ...) -> None: ...

class Family(_message.Message):
    __slots__ = ("name", "help", "type", "labels")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    name: str
    help: str
    type: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., help: _Optional[str] = ..., type: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ...) -> None: ...

class Tick(_message.Message):
    __slots__ = ("keyframe", "unix_ms", "boot_ms", "turn_step", "delta", "scale_step", "scale", "order")
    KEYFRAME_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    BOOT_MS_FIELD_NUMBER: _ClassVar[int]
    TURN_STEP_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    SCALE_STEP_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    keyframe: bool
    unix_ms: int
    boot_ms: int
    turn_step: _containers.RepeatedScalarFieldContainer[int]
    delta: _containers.RepeatedScalarFieldContainer[int]
    scale_step: _containers.RepeatedScalarFieldContainer[int]
    scale: _containers.RepeatedScalarFieldContainer[int]
    order: Order
    def __init__(self, keyframe: _Optional[bool] = ..., unix_ms: _Optional[int] = ..., boot_ms: _Optional[int] = ..., turn_step: _Optional[_Iterable[int]] = ..., delta: _Optional[_Iterable[int]] = ..., scale_step: _Optional[_Iterable[int]] = ..., scale: _Optional[_Iterable[int]] = ..., order: _Optional[_Union[Order, _Mapping]] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("step",)
    STEP_FIELD_NUMBER: _ClassVar[int]
    step: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, step: _Optional[_Iterable[int]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("unix_ms", "boot_ms", "type", "state", "subject", "observed", "threshold", "unit", "detail", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    BOOT_MS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    unix_ms: int
    boot_ms: int
    type: str
    state: str
    subject: str
    observed: float
    threshold: float
    unit: str
    detail: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, unix_ms: _Optional[int] = ..., boot_ms: _Optional[int] = ..., type: _Optional[str] = ..., state: _Optional[str] = ..., subject: _Optional[str] = ..., observed: _Optional[float] = ..., threshold: _Optional[float] = ..., unit: _Optional[str] = ..., detail: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...
