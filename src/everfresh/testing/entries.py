"""The rules of entries and leases."""

from __future__ import annotations

import unittest
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from everfresh.testing.hooks import StoreHooks

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["EntryContract"]

T = TypeVar("T")


class EntryContract(StoreHooks):
    """Entries are opaque bytes; one reader at a time may fill a key."""

    # Leases

    def test_lease_is_exclusive(self) -> None:
        """While one reader holds the lease on a key, no other gets it, and leases on other keys are free."""
        assert self.store.begin_fill(self.key, self.tags, 5).lease is not None
        assert self.store.begin_fill(self.key, self.tags, 5).lease is None
        assert self.store.begin_fill("other" + self.key, self.tags, 5).lease is not None

    def test_no_lease_asked_for(self) -> None:
        """begin_fill for 0 seconds takes no lease, and gives versions all the same."""
        fill = self.store.begin_fill(self.key, self.tags, 0)

        assert fill.lease is None
        assert None not in fill.versions
        assert self.store.begin_fill(self.key, self.tags, 5).lease is not None

    def test_release_gives_the_lease_back(self) -> None:
        """After release, the next reader gets the lease, and nothing was stored."""
        self.store.release(self.key, self.lease())

        assert self.store.begin_fill(self.key, self.tags, 5).lease is not None
        assert self.store.read(self.key, []).entry is None

    def test_fill_gives_the_lease_back(self) -> None:
        """After fill, the next reader gets the lease."""
        self.store.fill(self.key, b"entry", self.lease(), None)

        assert self.store.begin_fill(self.key, self.tags, 5).lease is not None

    def test_foreign_token_gives_nothing_back(self) -> None:
        """Neither release nor fill with another token ends a lease; the entry is stored, for its versions judge it."""
        self.lease()

        self.store.release(self.key, b"foreign token")
        self.store.fill(self.key, b"entry", b"foreign token", None)

        assert self.store.begin_fill(self.key, self.tags, 5).lease is None
        assert self.store.read(self.key, []).entry == b"entry"

    def test_lease_ends_by_itself(self) -> None:
        """The lease of a reader that died ends by time."""
        self.store.begin_fill(self.key, self.tags, self.short_seconds)

        self.advance(self.short_seconds + self.spare_seconds)

        assert self.store.begin_fill(self.key, self.tags, 5).lease is not None

    # Entries

    def test_entry_is_kept(self) -> None:
        """An entry comes back as it was stored, with the versions asked for, until it is stored anew."""
        versions = self.store.begin_fill(self.key, self.tags, 0).versions
        self.store.fill(self.key, b"first", b"", None)
        self.store.fill(self.key, b"second", b"", 5)

        snapshot = self.store.read(self.key, self.tags)

        assert (snapshot.entry, snapshot.versions) == (b"second", versions)

    def test_writers_leave_entries(self) -> None:
        """Marks and dones leave entries where they are: their versions say that they are stale."""
        self.store.fill(self.key, b"entry", b"", None)
        self.store.mark(self.tags, "writer", 5)
        assert self.store.read(self.key, self.tags).entry == b"entry"

        self.store.done(self.tags, "writer")

        assert self.store.read(self.key, self.tags).entry == b"entry"

    def test_entry_expires(self) -> None:
        """An entry is gone after its timeout; one without a timeout is still there."""
        self.store.fill(self.key, b"entry", b"", self.short_seconds)
        self.store.fill("other" + self.key, b"entry", b"", None)

        self.advance(self.short_seconds + self.spare_seconds)

        assert self.store.read(self.key, []).entry is None
        assert self.store.read("other" + self.key, []).entry == b"entry"

    def test_any_bytes(self) -> None:
        """An entry may be empty, large, or hold any bytes, also such as look like a version or a marker."""
        for entry in (b"", bytes(range(256)), b"12345678", b"pending for writer", b"1" * self.largest_entry):
            self.store.fill(self.key, entry, b"", None)

            assert self.store.read(self.key, []).entry == entry

    def test_odd_values_are_a_miss(self) -> None:
        """What the store did not put there is None, be it under a key or a tag, and the next write clears it away."""
        assert self.store.read(self.key, [self.tag]).versions == (None,)
        self.spoil(self.key, self.tag)
        snapshot = self.store.read(self.key, [self.tag])
        assert (snapshot.entry, snapshot.versions) == (None, (None,))
        self.store.begin_fill(self.key, [self.tag], 0)

        self.store.mark([self.tag], "writer", 5)
        self.store.done([self.tag], "writer")

        assert self.store.begin_fill(self.key, [self.tag], 0).versions != (None,)

    def test_names_do_not_mix(self) -> None:
        """A key and a tag of one name have nothing to do with each other, nor have names that begin alike."""
        self.store.fill(self.tag, b"entry of", b"", None)
        self.store.begin_fill(self.tag, [self.tag], 5)
        assert self.store.read(self.tag, [self.tag, self.tag[:-1], self.tag + "x"]).versions[1:] == (None, None)

        self.store.done([self.tag], "writer")

        assert self.store.read(self.tag, [self.tag]).entry == b"entry of"

    def test_long_names(self) -> None:
        """Names may have 150 characters."""
        key, tag = self.key.ljust(150, "k"), self.tag.ljust(150, "t")
        fill = self.store.begin_fill(key, [tag], 5)
        assert fill.lease is not None
        self.store.fill(key, b"entry", fill.lease, None)

        snapshot = self.store.read(key, [tag])
        assert (snapshot.entry, snapshot.versions) == (b"entry", fill.versions)

    def test_beginning_is_changed(self) -> None:
        """An entry that begins as is said begins otherwise from then on. The rest stays, and its end too."""
        if not self.store.renews:
            raise unittest.SkipTest("The store says that it cannot change the beginning of an entry.")
        self.store.fill(self.key, b"before and after", self.lease(), self.short_seconds)
        self.store.renew(self.key, b"before", b"BEFORE")
        self.store.renew(self.key, b"before", b"------")
        self.store.renew("no" + self.key, b"before", b"------")

        assert self.store.read(self.key, []).entry == b"BEFORE and after"
        assert self.store.read("no" + self.key, []).entry is None
        self.advance(self.short_seconds + self.spare_seconds)
        assert self.store.read(self.key, []).entry is None

    def test_dropped_entries_are_gone(self) -> None:
        """Drop forgets the entries of the keys it is given, and neither other entries nor tags nor leases."""
        others = f"other{self.key}", f"third{self.key}"
        lease = self.lease()
        versions = self.store.begin_fill(self.key, self.tags, 0).versions
        self.store.fill_many(dict.fromkeys((self.key, *others), b"entry"), None)

        self.store.drop([self.key, others[0], f"never{self.key}"])

        seen = self.store.read_many([self.key, *others], self.tags)
        assert (seen.entries, seen.versions) == ((None, None, b"entry"), versions)
        assert self.store.begin_fill(self.key, self.tags, 5).lease is None
        self.store.fill(self.key, b"again", lease, None)
        assert self.store.read(self.key, []).entry == b"again"

    # Many

    def test_many_entries(self) -> None:
        """read_many gives what read gives of each key: entries in order, None where there is none, and the versions."""
        keys = [f"{self.key}:{number}" for number in range(500)]
        stored = {key: key.encode() for key in keys[::2]}
        versions = self.store.begin_fill(self.key, self.tags, 0).versions
        self.store.fill_many(stored, None)

        seen = self.store.read_many([*keys, keys[0]], [self.tag, *self.tags])

        assert seen.entries == (*map(stored.get, keys), stored[keys[0]])
        assert seen.versions == (versions[0], *versions)
        assert self.store.read(keys[0], self.tags).entry == stored[keys[0]]

    def test_many_entries_are_stored_like_one(self) -> None:
        """What fill_many stores is what fill stores: it takes no lease, ends none, and expires after its timeout."""
        self.lease()
        other = f"other{self.key}"
        self.store.fill_many({self.key: b"entry", other: b""}, self.short_seconds)
        assert self.store.read_many([other, self.key], []).entries == (b"", b"entry")
        assert self.store.begin_fill(self.key, self.tags, 5).lease is None

        self.advance(self.short_seconds + self.spare_seconds)

        assert self.store.read_many([other, self.key], []).entries == (None, None)

    def test_no_keys_and_no_tags(self) -> None:
        """Nothing asked for is nothing found."""
        versions = self.store.begin_fill(self.key, self.tags, 0).versions

        assert self.store.read_many([], self.tags).versions == versions
        empty = self.store.read_many([], [])
        assert (empty.entries, empty.versions) == ((), ())

    def test_pending_tags_of_many(self) -> None:
        """read_many knows no version of a tag that a writer has marked, and gives the entries all the same."""
        self.store.begin_fill(self.key, self.tags, 0)
        self.store.fill_many({self.key: b"entry"}, None)
        self.store.mark([self.tag], "writer", 5)

        seen = self.store.read_many([self.key], self.tags)

        assert seen.entries == (b"entry",)
        assert [version is None for version in seen.versions] == [True, False, False]

    def test_many_tags(self) -> None:
        """Thousands of tags are marked, done and created like three."""
        tags = [f"{self.tag}:{number}" for number in range(self.many_tags)]
        before = self.store.begin_fill(self.key, tags, 5).versions
        assert None not in before
        assert self.store.read(self.key, tags).versions == before

        self.store.mark(tags, "writer", 30)
        assert set(self.store.begin_fill(self.key, tags, 5).versions) == {None}

        self.store.done(tags, "writer")
        assert set(self.store.read(self.key, tags).versions) == {None}
        assert not set(before) & set(self.store.begin_fill(self.key, tags, 5).versions)

    def test_one_round_trip_each(self) -> None:
        """Every operation is one round trip, with three tags as with thousands."""
        tags = [f"{self.tag}:{number}" for number in range(self.many_tags)]
        for some in (self.tags, tags):
            operations: list[Callable[[], object]] = [
                partial(self.store.read, self.key, some),
                partial(self.store.read_many, [self.key, "other" + self.key], some),
                partial(self.store.begin_fill, self.key, some, 5),
                partial(self.store.fill, self.key, b"entry", b"token", 5),
                partial(self.store.fill_many, {self.key: b"entry", "other" + self.key: b"entry"}, 5),
                partial(self.store.drop, [self.key, "other" + self.key]),
                partial(self.store.release, self.key, b"token"),
                partial(self.store.mark, some, "writer", 5),
                partial(self.store.done, some, "writer"),
            ]
            for operation in operations:
                operation()  # the first time, a connection may have to be made and scripts to be loaded
                before = self.round_trips()
                operation()

                assert self.round_trips() - before == 1

    def test_another_object_sees_the_same(self) -> None:
        """What one store object did, another one over the same contents sees."""
        other = self.make_store()
        versions = self.store.begin_fill(self.key, self.tags, 5).versions
        self.store.fill(self.key, b"entry", b"", None)
        assert other.read(self.key, self.tags).versions == versions
        assert other.read(self.key, self.tags).entry == b"entry"

        other.mark(self.tags, "writer", 5)

        assert self.store.read(self.key, self.tags).versions == (None, None, None)

    def test_threads(self) -> None:
        """Threads that share the store do not see each other's answers."""

        def work(number: int) -> int:
            key, tags = f"{self.key}:{number}", [f"{self.tag}:{number}:{each}" for each in range(3)]
            for turn in range(30):
                entry = f"{number} {turn}".encode()
                fill = self.store.begin_fill(key, tags, 5)
                assert fill.lease is not None
                self.store.fill(key, entry, fill.lease, None)
                snapshot = self.store.read(key, tags)
                assert (snapshot.entry, snapshot.versions) == (entry, fill.versions)
                self.store.mark(tags, f"{number}", 5)
                self.store.done(tags, f"{number}")
            return number

        assert self.together(work) == list(range(self.threads))

    # Indexes

    def test_members_are_found(self) -> None:
        """A member is in each index that it was put into, once, whatever its text, and in no other."""
        text = "a name, with ünïcode and spaces {and braces}"
        for _ in range(2):
            assert self.store.enroll(
                [("one" + self.key, text), ("two" + self.key, text), ("one" + self.key, "b")], None
            )

        assert sorted(self.store.enrolled("one" + self.key)) == [text, "b"]
        assert self.store.enrolled("two" + self.key) == [text]
        assert self.store.enrolled("three" + self.key) == []

    def test_member_has_its_time(self) -> None:
        """A member is gone after its seconds, and the others stay."""
        self.store.enroll([(self.key, "short")], self.short_seconds)
        self.store.enroll([(self.key, "long")], 60)

        self.advance(self.short_seconds + self.spare_seconds)

        assert self.store.enrolled(self.key) == ["long"]

    def test_index_of_many(self) -> None:
        """All of some thousand members are found."""
        members = [f"member {number}" for number in range(2_500)]
        self.store.enroll([(self.key, member) for member in members], 60)

        assert sorted(self.store.enrolled(self.key)) == sorted(members)
