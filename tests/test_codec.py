"""Stored formats: what goes in comes out, and whatever else is read is a miss."""

from __future__ import annotations

import enum
import math
import os
import struct
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, localcontext
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh import codec
from everfresh.codec import MISS, decode_rows, decode_value, encode_rows, encode_value, zstd
from everfresh.codec.entry import unpack_entry
from everfresh.exceptions import Unencodable

psycopg_range = pytest.importorskip("psycopg.types.range")
psycopg_multirange = pytest.importorskip("psycopg.types.multirange")
Range, Multirange = psycopg_range.Range, psycopg_multirange.Multirange

GOLDEN = Path(__file__).parent / "golden"
BERLIN = ZoneInfo("Europe/Berlin")
V1, V2, V3 = b"version1", b"version2", b"version3"


def identical(a: Any, b: Any) -> bool:
    """Say whether two values have the same types and the same content, all the way down, zones and folds included."""
    if type(a) is not type(b):
        return False
    match a:
        case float():
            return struct.pack(">d", a) == struct.pack(">d", b)
        case complex():
            return identical(a.real, b.real) and identical(a.imag, b.imag)
        case Decimal():
            return a.as_tuple() == b.as_tuple()
        case datetime() | time():
            here, there = a.replace(tzinfo=None), b.replace(tzinfo=None)
            same_wall = here == there and a.fold == b.fold and a.utcoffset() == b.utcoffset()
            return same_wall and identical(a.tzinfo, b.tzinfo)
        case ZoneInfo():
            return a.key == b.key
        case tzinfo():
            return a == b and a.tzname(None) == b.tzname(None)
        case dict():
            return identical(list(a.items()), list(b.items()))
        case list() | tuple() | Multirange():
            return len(a) == len(b) and all(map(identical, a, b))
        case set() | frozenset():
            return len(a) == len(b) and all(any(identical(x, y) for y in b) for x in a)
        case range():
            return (a.start, a.stop, a.step) == (b.start, b.stop, b.step)
        case Range():
            return identical((a.lower, a.upper, a.bounds), (b.lower, b.upper, b.bounds))
        case memoryview():
            return a == b and a.readonly is b.readonly
    return bool(a == b)


# Strategies: the values that drivers give, and the values that answers are made of


fixed_offsets = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
zones = fixed_offsets | st.sampled_from([UTC, BERLIN, ZoneInfo("UTC"), timezone(timedelta(hours=1), "CET")])
big_integers = st.integers() | st.integers(-(2**70), 2**70) | st.sampled_from([-(2**63), 2**64 - 1, 2**63, 2**64])
naive_times = st.builds(lambda value, fold: value.replace(fold=fold), st.times(), st.integers(0, 1))
scalars: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**64 - 1),
    "big": big_integers,
    "float": st.floats(),
    "str": st.text(),
    "bytes": st.binary(),
    "bool": st.booleans(),
    "none": st.none(),
    "decimal": st.decimals(allow_nan=True)
    | st.decimals(places=2)
    | st.sampled_from([Decimal("sNaN"), Decimal("1E+5")]),
    "date": st.dates(),
    "datetime": st.datetimes(),
    "utc": st.datetimes(timezones=st.just(UTC)),
    "aware": st.datetimes(timezones=zones),
    "time": st.times(),
    "folded": naive_times,
    "aware time": st.times(timezones=zones),
    "timedelta": st.timedeltas(),
    "uuid": st.uuids(),
    "bytearray": st.binary().map(bytearray),
    "memoryview": st.binary().map(memoryview),
    "complex": st.complex_numbers(),
    "range": st.builds(range, big_integers, big_integers, st.integers(1, 9)),
    "address": st.ip_addresses() | st.ip_addresses().map(ip_interface) | st.ip_addresses().map(ip_network),
}
scalar = st.one_of(*scalars.values())
ranges = st.builds(Range, st.integers() | st.none(), st.none() | st.dates(), st.sampled_from(["[)", "(]", "()", "[]"]))
ranges |= st.just(Range(empty=True))
hashables = st.recursive(
    st.none() | st.booleans() | big_integers | st.text() | st.floats() | st.dates() | st.uuids(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
values = st.recursive(
    scalar | ranges | st.lists(ranges, max_size=3).map(Multirange),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(hashables, max_size=4)
        | st.dictionaries(st.text(), inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
    ),
    max_leaves=8,
)


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Rows whose columns each hold one kind of value or several, with None here and there."""
    kinds = [*scalars.values(), values]
    columns = draw(st.lists(st.sampled_from(kinds).flatmap(lambda kind: st.sampled_from([kind, kind | st.none()]))))
    return draw(st.lists(st.tuples(*columns), max_size=5))


# Rows


@given(tables())
def test_rows_come_back_as_they_were(rows: list[tuple[Any, ...]]):
    """Rows come back with the same values of the same types."""
    assert identical(rows, decode_rows(encode_rows(rows)))
    assert identical(rows, decode_rows(memoryview(encode_rows(rows))))


@pytest.mark.parametrize(("kind"), scalars)
def test_each_kind_of_column(kind: str):
    """A column of one kind of value, with or without None, comes back as it was."""

    @given(st.lists(st.tuples(scalars[kind], st.none() | scalars[kind])))
    def check(rows: list[tuple[Any, ...]]) -> None:
        assert identical(rows, decode_rows(encode_rows(rows)))

    check()


CORNERS: list[Any] = [
    [], [()], [(), ()], [(None,)], [(None,), (None,)], [(1, "a"), (None, None)],
    [(1,), (True,)], [(1,), (1.0,)], [(1,), (Decimal(1),)], [("1",), (b"1",)],
    [(date(2026, 1, 1),), (datetime(2026, 1, 1),)],
    [(-(2**63), 2**64 - 1)], [(2**64,)], [(-(2**63) - 1, 1), (0, 2)], [(10**5000,)],
    [(-0.0, math.nan, math.inf, -math.inf, 5e-324)],
    [("a\0b", "", "\U0010ffff", "e\u0301")], [(b"\0", b"")],
    [(Decimal("NaN"), Decimal("sNaN12"), Decimal("-NaN"), Decimal("1E+5"), Decimal("-0.00"), Decimal("-Infinity"))],
    [(Decimal("1E+999999"), Decimal("1E-999999"), Decimal("1" * 60))],
    [(datetime.min, datetime.max, time.min, time.max, date.min, date.max, timedelta.min, timedelta.max)],
    [(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))],
    [(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN))],
    [(datetime(2026, 1, 1, fold=1), time(fold=1), time(tzinfo=UTC), time(tzinfo=BERLIN))],
    [(datetime(2026, 1, 1, tzinfo=UTC),), (datetime(2026, 1, 1),)],
    [(datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")), datetime(2026, 1, 1, tzinfo=timezone(timedelta(0), "Z")))],
    [(timedelta(days=-1, microseconds=1), timedelta(microseconds=-1), timedelta(days=106751991, microseconds=3))],
    [(UUID(int=0), UUID(int=2**128 - 1))],
    [([1, [2, None]], {"a": [1, {"b": (1,)}]}, {1: 2, "1": 3}, {1, "a"}, memoryview(b"a"), bytearray(b"a"))],
    [(Range(1, 5), Range(empty=True), Range(None, None), Range(date(2026, 1, 1), None, "[]"))],
    [(Multirange([Range(1, 2)]),)],
    [(Range(Decimal("1.50"), Decimal(2)), Range(datetime(2026, 1, 1, tzinfo=UTC), None)), (Multirange(), None)],
    [(ip_address("::ffff:1.2.3.4"), ip_interface("fe80::1%eth0/64"), ip_network("1.2.3.0/24"), range(9, 0, -2))],
    [tuple(range(2000))] * 3, [(None, "a") * 1000],
]  # fmt: skip


@pytest.mark.parametrize("rows", CORNERS)
def test_corners(rows: list[tuple[Any, ...]]):
    """The corners of each type come back as they were, too."""
    assert identical(rows, decode_rows(encode_rows(rows)))


def test_decimal_context_does_not_matter():
    """Decimals are exact whatever precision the thread computes with."""
    rows = [(Decimal("123456.789"), [Decimal("1E+7")])]
    with localcontext() as context:
        context.prec, context.capitals = 2, 0

        assert identical(rows, decode_rows(encode_rows(rows)))


def test_utc_is_the_very_same():
    """UTC comes back as datetime's own object, so that Django's checks by identity hold."""
    ((moment,),) = decode_rows(encode_rows([(datetime(2026, 1, 1, tzinfo=UTC),)]))

    assert moment.tzinfo is UTC


class Str(str):
    __slots__ = ()


class Pair(NamedTuple):
    a: int


class Whole(enum.IntEnum):
    ONE = 1


class Zone(tzinfo):
    """A zone of another library."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """Return no offset."""
        return timedelta(0)


REFUSED: list[Any] = [
    object(), ..., Str("a"), Whole.ONE, Pair(1), OrderedDict(a=1), "\ud800", {"\ud800": 1}, [Str("a")], {Str("a"): 1},
    datetime(2026, 1, 1, tzinfo=Zone()), time(tzinfo=Zone()), UUID(int=1, is_safe=SafeUUID.safe),
    memoryview(bytearray(b"a")), memoryview(b"abcd").cast("I"), Range(Str("a"), "b"), UTC, int,
]  # fmt: skip


@pytest.mark.parametrize("value", REFUSED)
def test_what_would_not_come_back_is_refused(value: Any):
    """A value that would come back as something else is refused, alone, in a row and inside a container."""
    for attempt in (value, [value], {"a": (value,)}):
        with pytest.raises(Unencodable):
            encode_value(attempt)
        with pytest.raises(Unencodable):
            encode_rows([(1, attempt), (2, None)])


@pytest.mark.parametrize("rows", [[[1]], [(1,), [1]], [Pair(1)], [(1,), (1, 2)], [(1,) * 65536]])
def test_what_is_not_a_table_is_refused(rows: list[Any]):
    """Rows are tuples of one length."""
    with pytest.raises(Unencodable, match=r"^rows"):
        encode_rows(rows)


@given(tables().map(encode_rows), st.data())
def test_any_bytes_decode_to_rows_or_a_miss(data: bytes, source: st.DataObject):
    """Decoding never raises, whatever bytes are cut off, put in or changed."""
    at = source.draw(st.integers(0, len(data)))
    damaged = data[:at] + source.draw(st.binary(max_size=4)) + data[at + source.draw(st.integers(0, 4)) :]

    for broken in (damaged, data[:at]):
        decoded = decode_rows(broken)
        assert decoded is MISS or all(type(row) is tuple for row in decoded)


@given(st.binary())
def test_any_bytes_decode_to_something_or_a_miss(data: bytes):
    """Decoding never raises, whatever the bytes."""
    decode_rows(data)
    decode_value(data)


# Values


@given(values)
def test_values_come_back_as_they_were(value: Any):
    """A value comes back the same, of the same type, at every depth."""
    assert identical(value, decode_value(encode_value(value)))
    assert identical({"a": value}, decode_value(memoryview(encode_value({"a": value}))))


@given(values.map(encode_value), st.data())
def test_damaged_values_never_raise(data: bytes, source: st.DataObject):
    """Decoding a damaged value gives some value or a miss."""
    at = source.draw(st.integers(0, len(data)))

    decode_value(data[:at] + source.draw(st.binary(max_size=4)) + data[at + source.draw(st.integers(0, 4)) :])
    decode_value(data[:at])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", b"\x91" * 100_000, b"\x91" * 1500 + b"\x90", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
        b"\x90", b"\x91\xa1?", b"\x91\x90", b"\x92\xa1B\xce\xff\xff\xff\xff", b"\xd6\xff\x00\x00\x00\x00",
        encode_value(Decimal(1)).replace(b"1", b"x"), b"\x93\xa1h\x90\x01", b"\x92\xa1S\x91\xa1l",
    ],
)  # fmt: skip
def test_hostile_values_are_misses(data: bytes):
    """Bytes that claim a lot, nest deeply or name unknown codes are a miss and take no memory."""
    tracemalloc.start()
    try:
        assert decode_value(data) is MISS
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


def test_moved_zone_rules_are_a_miss():
    """A moment is not given back under zone rules by which it would be another instant."""
    data = encode_value(datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Paris")))

    assert decode_value(data.replace(b"\xacEurope/Paris", b"\xadEurope/London")) is MISS
    assert decode_value(data.replace(b"Europe/Paris", b"Europe/Nowhe")) is MISS


def test_self_reference_and_depth():
    """Containers nest MAX_DEPTH deep; one that holds itself is refused."""
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = 1
    for _ in range(codec.MAX_DEPTH):
        deep = [deep]

    assert deep == decode_value(encode_value(deep))
    for value in (loop, [deep], {"a": deep}, (deep,)):
        with pytest.raises(Unencodable, match=f"nested more than {codec.MAX_DEPTH} deep"):
            encode_value(value)


def test_miss_is_no_value():
    """MISS is falsy, unlike any value, and shows as itself."""
    assert not MISS
    assert repr(MISS) == "MISS"
    assert decode_value(encode_value(None)) is None
    with pytest.raises(Unencodable):
        encode_value(MISS)


def test_psycopg_is_imported_late():
    """The module does without psycopg until a value of it is read."""
    code = (
        "import sys; from everfresh.codec import decode_value, encode_value; encode_value(1);"
        "assert not [name for name in sys.modules if name.startswith(('psycopg', 'django'))];"
        f"print(decode_value({encode_value(Range(1, 2))!r}))"
    )
    path = {**os.environ, "PYTHONPATH": str(Path(codec.__file__).parents[2])}

    done = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True)

    assert done.stdout == "[1, 2)\n"


# Entries


versions = st.lists(st.binary(min_size=8, max_size=8).filter(any) | st.none(), max_size=6)


@given(versions, st.binary(), st.none() | st.integers(0, 9))
def test_entries_come_back_as_they_were(held: list[bytes | None], body: bytes, compress_above: int | None):
    """An entry gives back its versions in order, and its body."""
    data = codec.pack_entry(held, body, compress_above=compress_above)

    assert unpack_entry(data, len(held)) == (tuple(held), body)
    assert codec.unpack_versions(data, len(held)) == tuple(held)
    assert codec.unpack_body(data, len(held)) == body
    assert codec.matches(data, held) == (None if None in held else body)


@given(versions, versions, st.binary())
def test_only_equal_versions_match(held: list[bytes | None], live: list[bytes | None], body: bytes):
    """The fast path says yes exactly when every version is known and equal to the live one."""
    data = codec.pack_entry(held, body)

    assert codec.matches(data, live) == (body if held == live and None not in held else None)
    assert unpack_entry(data, len(held) + 1) is None
    assert len(held) == 0 or unpack_entry(data, len(held) - 1) is None


@pytest.mark.parametrize("live", [None, codec.PENDING, b"", b"\0" * 7])
def test_pending_never_matches(live: bytes | None):
    """A version that was pending at the fill equals nothing, not even eight zero bytes."""
    for pending in (None, codec.PENDING):
        data = codec.pack_entry([V1, pending], b"body")

        assert codec.matches(data, [V1, live]) is None
        assert unpack_entry(data, 2) == ((V1, None), b"body")


@pytest.mark.parametrize("data", [None, 0, "text", [], b"", bytearray(b"x"), MISS, b"\xeeF", b"x" * 100])
def test_other_things_under_the_key_are_misses(data: object):
    """Whatever else a store returns for a key is no entry."""
    for count in (0, 1, 2):
        assert unpack_entry(data, count) is None
        assert codec.unpack_versions(data, count) is None
        assert codec.unpack_body(data, count) is None
        assert codec.matches(data, [V1] * count) is None


@given(versions, st.binary(max_size=40), st.booleans(), st.data())
def test_damaged_entries_never_raise(held: list[bytes | None], body: bytes, compressed: bool, source: st.DataObject):
    """A cut entry is a miss, and a damaged one is never an exception."""
    data = codec.pack_entry(held, body * 9, compress_above=0 if compressed else None)
    at = source.draw(st.integers(0, len(data) - 1))

    assert unpack_entry(data[:at], len(held)) is None
    assert codec.matches(data[:at], held) is None
    assert unpack_entry(data + b"x", len(held)) is None

    damaged = data[:at] + source.draw(st.binary(max_size=4)) + data[at + source.draw(st.integers(0, 4)) :]
    unpack_entry(damaged, len(held))
    codec.matches(damaged, held)


@given(st.binary(), st.integers(0, 9))
def test_any_bytes_are_an_entry_or_a_miss(data: bytes, count: int):
    """Reading never raises, whatever the bytes."""
    head = codec.pack_entry([V1] * count, b"")[:-5]

    for attempt in (data, head + data, head + b"\1" + data):
        unpack_entry(attempt, count)
        codec.matches(attempt, [V1] * count)


def test_wrong_versions_are_a_mistake():
    """A version of another length is the caller's error, not a value to refuse."""
    with pytest.raises(ValueError, match=r"^a version is 8 bytes long, not 7$"):
        codec.pack_entry([V1, b"seven77"], b"")


def test_too_many_versions_are_refused():
    """An entry has room for 65535 versions."""
    with pytest.raises(Unencodable, match=r"^an entry of 65536 versions and 4 bytes"):
        codec.pack_entry([V1] * 65536, b"body")


# Compression


def test_compression_begins_above_the_threshold():
    """A body over the threshold is compressed, one of exactly that size is not, nor one that would grow."""
    body = b"everfresh " * 100

    assert len(codec.pack_entry([V1], body)) > 1000
    assert len(codec.pack_entry([V1], body, compress_above=1000)) > 1000
    assert len(codec.pack_entry([V1], body, compress_above=999)) < 100
    assert codec.matches(codec.pack_entry([V1], body, compress_above=999), [V1]) == body
    assert codec.pack_entry([V1], b"abc", compress_above=0) == codec.pack_entry([V1], b"abc")


def test_without_zstd_compressed_entries_are_misses(monkeypatch: pytest.MonkeyPatch):
    """Where no zstd is installed, nothing is compressed and what others compressed is a miss."""
    body = b"everfresh " * 100
    compressed = codec.pack_entry([V1], body, compress_above=0)
    monkeypatch.setattr(zstd, "library", None)

    assert codec.pack_entry([V1], body, compress_above=0) == codec.pack_entry([V1], body)
    assert codec.matches(compressed, [V1]) is None
    assert unpack_entry(compressed, 1) is None
    assert codec.unpack_versions(compressed, 1) == (V1,)


@pytest.mark.parametrize("claimed", [0, 1, 999, 1001, 0xFFFFFFFF])
def test_decompression_is_bounded_by_the_header(claimed: int):
    """An entry whose compressed body is not exactly as long as its header says is a miss, and costs no memory."""
    data = codec.pack_entry([V1], b"everfresh " * 100, compress_above=0)
    start = data.index(V1) + 9
    lying = data[:start] + claimed.to_bytes(4, "big") + data[start + 4 :]

    assert codec.matches(lying, [V1]) is None


@pytest.mark.parametrize("library", [zstd.ZstandardPackage, zstd.StandardLibrary])
def test_both_libraries_read_each_other(library: type, monkeypatch: pytest.MonkeyPatch):
    """Entries compressed by Python's own zstd and by the package are the same to a reader."""
    body = b"everfresh " * 100
    data = codec.pack_entry([V1], body, compress_above=0)
    try:
        monkeypatch.setattr(zstd, "library", library())
    except ImportError:
        pytest.skip("not installed here")

    assert codec.matches(data, [V1]) == body
    assert codec.matches(codec.pack_entry([V1], body, compress_above=0), [V1]) == body
    for size in (0, 999, 1001):
        with pytest.raises(ValueError, match=r"bytes$"):
            zstd.library.decompress(zstd.library.compress(body), size)
    with pytest.raises(Exception, match=r"."):
        zstd.library.decompress(zstd.library.compress(body) + b"x", 1000)


# Golden bytes


MOMENT = datetime(2026, 11, 21, 12, 30, 15, 123456)
GOLDEN_ROWS = [
    (1, 1.5, "é\0", b"\0\xff", True, Decimal("1.50"), MOMENT.date(), MOMENT, MOMENT.replace(tzinfo=UTC), MOMENT.time(),
     timedelta(-1, 2, 3), UUID(int=7), None, [1, {"a": (2,)}], 2**64),
    (None,) * 13 + ({1, }, MOMENT.replace(tzinfo=BERLIN)),
]  # fmt: skip
GOLDEN_VALUE = {
    "count": 3, "none": None, "mean": Decimal("2.50"), "big": -(2**70), "list": [1.0, True, "1", b"1", ()],
    "moment": [MOMENT, MOMENT.replace(tzinfo=timezone(timedelta(hours=2)), fold=1), MOMENT.time(), timedelta(1)],
    "other": [UUID(int=7), range(3), 1j, frozenset({1}), bytearray(b"a"), memoryview(b"a"), {1: 2}, date(2026, 11, 21)],
    "net": [ip_address("1.2.3.4"), ip_interface("::1/64"), ip_network("1.2.3.0/24")],
    "range": [Range(1, 5), Range(empty=True), Multirange([Range(1, None)])],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "made", "read", "meant"),
    [
        ("rows", encode_rows(GOLDEN_ROWS), decode_rows, GOLDEN_ROWS),
        ("value", encode_value(GOLDEN_VALUE), decode_value, GOLDEN_VALUE),
        ("entry", codec.pack_entry([V1, V2], b"body"), lambda data: codec.matches(data, [V1, V2]), b"body"),
        ("pending", codec.pack_entry([V3, None], b""), lambda data: unpack_entry(data, 2), ((V3, None), b"")),
    ],
)
def test_golden_bytes(name: str, made: bytes, read: Any, meant: Any):
    """The stored formats are those of the release, byte for byte, and still read."""
    golden = GOLDEN / f"{name}.bin"
    if os.environ.get("EVERFRESH_WRITE_GOLDEN"):
        golden.write_bytes(made)

    assert golden.read_bytes() == made, (
        "a stored format changed => raise everfresh.codec.FORMAT, then write tests/golden/*.bin anew: "
        "EVERFRESH_WRITE_GOLDEN=1 pytest tests/test_codec.py"
    )
    assert identical(meant, read(golden.read_bytes()))


def test_other_formats_are_misses():
    """An entry of another format number is a miss."""
    data = codec.pack_entry([V1], b"body")

    for number in {*range(256)} - {codec.FORMAT}:
        other = data[:2] + bytes([number]) + data[3:]
        assert codec.matches(other, [V1]) is None
        assert unpack_entry(other, 1) is None
