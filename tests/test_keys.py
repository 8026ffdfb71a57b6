"""Keys: the same bytes for the same value, other bytes for any other value, everywhere and always."""

from __future__ import annotations

import enum
import math
import os
import re
import subprocess
import sys
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal, localcontext
from ipaddress import ip_address, ip_interface, ip_network
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfresh import keys
from everfresh.exceptions import Unencodable
from everfresh.keys import digest, encode, encode_into

GOLDEN = Path(__file__).parent / "golden" / "keys.txt"
BERLIN = ZoneInfo("Europe/Berlin")
UTC_NAMED = timezone(timedelta(0), "GMT")


class Colour(enum.Enum):
    RED = 1
    ALSO = (1, "a")


class Number(enum.IntEnum):
    ONE = 1


class Text(enum.StrEnum):
    ONE = "1"


class Flags(enum.Flag):
    A = 1
    B = 2


class Outer:
    class Colour(enum.Enum):
        RED = 1


# Every one of them differs from every other one, however close they look.
DISTINCT: list[object] = [
    None, True, False, 0, 1, -1, 255, 2**63, 2**64, -(2**64), 10**5000,
    0.0, -0.0, 1.0, math.nan, math.inf, -math.inf, 1e-320,
    1j, complex(0, -1), complex(-0.0, 1), complex(math.nan, 1),
    "", "1", "True", "None", "i1;", "a", "a\0", "\0a", "é", "e\u0301", "\ud800", "\ud800\udc00", "\U00010000",
    b"", b"1", b"a", b"s1:a", bytearray(b"a"), memoryview(b"a"),
    Decimal(1), Decimal("1.0"), Decimal("1.00"), Decimal("1E+1"), Decimal(10), Decimal("-0"), Decimal(0),
    Decimal("NaN"), Decimal("sNaN"), Decimal("NaN1"), Decimal("-NaN"), Decimal("Infinity"), Decimal("-Infinity"),
    date(2026, 1, 2), datetime(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC_NAMED),
    datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC")), datetime(2026, 1, 2, tzinfo=BERLIN),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1))),
    datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(2026, 1, 2, 0, 0, 0, 1), datetime(2026, 1, 2, fold=1),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    time(), time(fold=1), time(tzinfo=UTC), time(tzinfo=BERLIN), time(0, 0, 0, 1),
    timedelta(), timedelta(1), timedelta(-1), timedelta(microseconds=1), timedelta.max, timedelta.min,
    UTC, UTC_NAMED, BERLIN, ZoneInfo("UTC"),
    UUID(int=1), UUID(int=2), "00000000-0000-0000-0000-000000000001", UUID(int=1).bytes,
    (), [], set(), frozenset(), {}, (None,), [None], {None}, frozenset({None}), {None: None},
    ((),), ([],), [()], [[]], [[], []], [[[]]], ["a, b"], ["a", "b"], ["ab"], ["a", ["b"]], [["a"], "b"], [["a", "b"]],
    {1, 2}, {1, 2, 3}, {"1", "2"}, {1: 2}, {2: 1}, {1: 2, 3: 4}, {3: 4, 1: 2}, {True: 2}, {1: {2: 3}}, {1: (2, 3)},
    {"a": "b"}, ("a", "b"), [("a", "b")],
    range(0), range(1, 1), range(3), range(0, 3, 2), [0, 1, 2],
    Colour.RED, Colour.ALSO, Outer.Colour.RED, Number.ONE, Text.ONE, Flags.A, Flags.A | Flags.B, Flags(0),
    ip_address("1.2.3.4"), ip_address("::ffff:1.2.3.4"), ip_address("fe80::1"), ip_address("fe80::1%eth0"),
    ip_network("1.2.3.4/32"), ip_network("1.2.3.0/24"), ip_network("::/0"), ip_interface("1.2.3.4/24"),
    ip_interface("1.2.3.4/32"), ip_interface("fe80::1/64"), ip_interface("fe80::1%eth0/64"),
]  # fmt: skip


# Strategies and the oracle


fixed_offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
zones: st.SearchStrategy[tzinfo] = fixed_offsets | st.sampled_from([BERLIN, ZoneInfo("UTC"), UTC_NAMED])
any_text = st.text(st.characters(codec=None))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), any_text, st.binary(),
    st.binary().map(bytearray), st.binary().map(memoryview),
    st.decimals(allow_nan=True), st.dates(), st.datetimes(), st.datetimes(timezones=zones), st.times(),
    st.times(timezones=zones), st.timedeltas(), st.uuids(), zones, st.ip_addresses(),
    st.ip_addresses().map(ip_network), st.ip_addresses().map(ip_interface),
    st.builds(range, st.integers(), st.integers(), st.integers(1, 9)),
    st.sampled_from([*Colour, *Number, *Text, *Flags, *Outer.Colour]),
)  # fmt: skip
hashables = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2) | st.binary(max_size=1) | st.floats(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
values = st.recursive(
    scalars | hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(hashables, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
    ),
    max_leaves=8,
)


def same(a: Any, b: Any) -> bool:
    """Say whether two values have the same types and the same content, all the way down: the oracle of `encode`."""
    if type(a) is not type(b):
        return False
    match a:
        case enum.Enum() | tzinfo():
            return a is b or (type(a) is timezone and a == b and a.tzname(None) == b.tzname(None))
        case float():
            return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
        case complex():
            return same(a.real, b.real) and same(a.imag, b.imag)
        case Decimal():
            return a.as_tuple() == b.as_tuple()
        case datetime() | time():
            here, there = a.replace(tzinfo=None), b.replace(tzinfo=None)
            return here == there and a.fold == b.fold and same(a.tzinfo, b.tzinfo)
        case list() | tuple():
            return len(a) == len(b) and all(map(same, a, b))
        case dict():
            return same(list(a.items()), list(b.items()))
        case set() | frozenset():
            return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)
        case range():
            return (a.start, a.stop, a.step) == (b.start, b.stop, b.step)
    return bool(a == b)


# One value, one encoding


def test_distinct_values_have_distinct_bytes():
    """Values that differ in type or content never share their bytes."""
    for a, b in combinations(DISTINCT, 2):
        assert encode(a) != encode(b), (a, b)


def test_no_encoding_begins_another():
    """No encoding is a prefix of another one, so a row of encodings can be taken apart in one way only."""
    for a, b in pairwise(sorted(map(encode, DISTINCT))):
        assert not b.startswith(a)


@given(values, values)
def test_equal_bytes_mean_same_value(a: object, b: object):
    """Two values have the same bytes exactly when types and content are the same, and neither is a prefix."""
    assert same(a, b) == (encode(a) == encode(b))
    assert same(a, b) or not encode(a).startswith(encode(b))


@given(hashables, hashables)
def test_equal_bytes_mean_same_value_among_small_ones(a: object, b: object):
    """Values that Python calls equal, such as 1, True and 1.0, still have their own bytes."""
    assert same(a, b) == (encode(a) == encode(b))


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_rows_of_encodings_are_unambiguous(a: list[object], b: list[object]):
    """Encodings put one after the other are the same only for the same row of values."""
    assert same(a, b) == (b"".join(map(encode, a)) == b"".join(map(encode, b)))


@given(values)
def test_encode_into_appends_what_encode_returns(value: object):
    """The inner form appends the same bytes to what is there."""
    out = [b"before"]

    encode_into(out, value)

    assert b"before" + encode(value) == b"".join(out)


@given(st.sets(hashables))
def test_sets_have_no_order(value: set[object]):
    """A set has the same bytes whatever order it is filled in."""
    backwards = set()
    for item in sorted(value, key=repr, reverse=True):
        backwards.add(item)

    assert encode(backwards) == encode(value)


@given(st.decimals(allow_nan=True))
def test_decimals_do_not_depend_on_the_context(value: Decimal):
    """The decimal context of the thread leaves no trace in the bytes."""
    expected = encode(value)
    with localcontext() as context:
        context.prec, context.capitals = 1, 0

        assert expected == encode(value)


def test_all_nans_are_one():
    """A NaN has one encoding, whatever sign and payload the processor gave it."""
    assert encode(math.nan) == encode(-math.nan)
    assert encode(complex(math.nan, 0.0)) == encode(complex(-math.nan, 0.0))


# Stability


def describe(values: list[object]) -> str:
    """Return one line of hexadecimal bytes for each value."""
    return "".join(encode(value).hex() + "\n" for value in values)


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_bytes_do_not_depend_on_the_process(seed: str):
    """Another process with another hash seed makes the same bytes."""
    # Enum members carry the name of their module, so it is imported by the name it has here.
    paths = [Path(__file__).parents[__name__.count(".")], Path(keys.__file__).parents[1]]
    code = f"import sys, {__name__} as t; sys.stdout.write(t.describe(t.DISTINCT))"
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(map(str, paths))}

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=paths[0]
    )

    assert describe(DISTINCT) == done.stdout


def test_golden_bytes():
    """The bytes of today are those of the release: a key that changes its meaning would serve another answer."""
    # Without enum members: their bytes hold the name of this module.
    today = f"{keys.FORMAT} {digest(b'')}\n" + describe([v for v in DISTINCT if not isinstance(v, enum.Enum)])
    if os.environ.get("EVERFRESH_WRITE_GOLDEN"):
        GOLDEN.write_text(today)

    assert GOLDEN.read_text() == today, (
        "the encoding of keys changed => raise everfresh.keys.FORMAT, then write tests/golden/keys.txt anew: "
        "EVERFRESH_WRITE_GOLDEN=1 pytest tests/test_keys.py"
    )


# Refusals


class Subclasses:
    """Values of subclasses, each with a meaning that its base does not have."""

    class Str(str):
        __slots__ = ()

    class Int(int): ...

    class List(list): ...

    class Moment(datetime): ...

    class Pair(NamedTuple):
        a: int

    class Zone(tzinfo):
        def utcoffset(self, moment: datetime | None) -> timedelta:
            return timedelta(0)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "builtins.object"),
        (int, "builtins.type"),
        (..., "builtins.ellipsis"),
        (len, "builtins.builtin_function_or_method"),
        (Subclasses.Str("a"), "Subclasses.Str"),
        (Subclasses.Int(1), "Subclasses.Int"),
        (Subclasses.List(), "Subclasses.List"),
        (Subclasses.Moment(2026, 1, 1), "Subclasses.Moment"),
        (datetime(2026, 1, 1, tzinfo=Subclasses.Zone()), "Subclasses.Zone"),
        (OrderedDict(a=1), "collections.OrderedDict"),
        (Subclasses.Pair(1), "Subclasses.Pair"),
        (memoryview(b"abcd").cast("I"), "builtins.memoryview of other items than bytes"),
        ([1, ("a", {2: object()})], "builtins.object"),
        ({object(): 1}, "builtins.object"),
        ({1, object()}, "builtins.object"),
    ],
)
def test_unknown_types_are_refused_by_name(value: object, name: str):
    """A value of any other type, at any depth, is refused with the name of the type."""
    with pytest.raises(Unencodable, match=re.escape(name) + "$"):
        encode(value)
    with pytest.raises(Unencodable, match=re.escape(name) + "$"):
        encode_into([], value)


def test_lazy_objects_are_not_woken():
    """A proxy that pretends to be another class is refused without being asked."""

    class Lazy:
        @property
        def __class__(self) -> type:
            raise AssertionError("woken")

    with pytest.raises(Unencodable, match="Lazy"):
        encode(Lazy())


def test_enums_without_a_path_are_refused():
    """Two local enum classes can share one path, so the members of neither have bytes."""

    class Local(enum.Enum):
        A = 1

    with pytest.raises(Unencodable, match=r"Local that cannot be imported by this name$"):
        encode(Local.A)


def test_zones_without_a_key_are_refused():
    """A zone read from a file has no name that other processes know."""
    path = next(p for p in map(Path, ["/usr/share/zoneinfo/UTC", *map(str, _tzdata())]) if p.exists())
    with path.open("rb") as file:
        zone = ZoneInfo.from_file(file)

    with pytest.raises(Unencodable, match="ZoneInfo"):
        encode(datetime(2026, 1, 1, tzinfo=zone))


def _tzdata() -> list[Path]:
    try:
        import tzdata
    except ImportError:
        return []
    return [Path(tzdata.__file__).parent / "zoneinfo" / "UTC"]


def test_self_reference_is_refused():
    """A container that holds itself is refused, not followed until the stack ends."""
    loop: list[object] = []
    loop.append(loop)
    wide: dict[str, object] = {}
    wide["a"] = wide["b"] = (wide, [wide])

    for value in (loop, wide):
        with pytest.raises(Unencodable, match=f"nested more than {keys.MAX_DEPTH} deep"):
            encode(value)


def test_depth_is_bounded():
    """Containers may nest MAX_DEPTH deep and no deeper."""
    value: object = 1
    for _ in range(keys.MAX_DEPTH):
        value = [value]

    assert encode(value).endswith(b"l1:i1;")
    with pytest.raises(Unencodable):
        encode((value,))


# Digests


@given(st.lists(st.binary()))
def test_digests_are_short_names(chunks: list[bytes]):
    """A digest is 22 characters that every store takes, and depends on the joined bytes only."""
    name = digest(chunks)

    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", name)
    assert digest(b"".join(chunks)) == name
    assert digest(iter(chunks)) == name
    assert digest([*chunks, b"x"]) != name
