"""What proves a store.

A store's whole test file is a subclass of `StoreContract` with a factory::

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore("localhost")

Each test's docstring is the rule it checks. Tests of what a store does not tell (evictions, odd bytes, round trips) are
skipped until the subclass has the hook for it. Runs under pytest, and needs nothing of it; for detailed messages, say
``pytest.register_assert_rewrite("everfresh.testing")`` in the ``conftest.py``.
"""

from __future__ import annotations

import secrets
import threading
import time
import unittest
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from everfresh.stores.base import Store

__all__ = ["StoreContract"]

T = TypeVar("T")


class StoreContract:
    """The rules that every store keeps. Names are fresh for each test, so a shared server need not be emptied."""

    short_seconds = 0.05
    """The shortest lifetime the store can tell."""

    spare_seconds = 0.05
    """How much longer than asked a mark may last."""

    largest_entry = 1_000_000
    """Bytes of an entry that the store must take."""

    add_is_atomic = True
    """Does exactly one of several simultaneous readers create a version or take a lease?"""

    threads = 8
    """How many threads may share the store; 1 for a private one."""

    many_tags = 2500
    """How many tags a large write has: more than fit into one request of the store."""

    def make_store(self) -> Store:
        """A store as users get it; each call gives another object over the same contents."""
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass for the store. By default, wait."""
        time.sleep(seconds)

    def evict(self, tag: str) -> None:
        """Make the store lose the version of *tag* and nothing else, as for want of memory."""
        raise unittest.SkipTest("The test class has no hook `evict`.")

    def spoil(self, key: str, tag: str) -> None:
        """Put something under *key* and under *tag* that the store would never have put there."""
        raise unittest.SkipTest("The test class has no hook `spoil`.")

    def round_trips(self) -> int:
        """How many requests the store from the latest :meth:`make_store` has sent so far."""
        raise unittest.SkipTest("The test class has no hook `round_trips`.")

    @cached_property
    def store(self) -> Store:
        """The store of this test, made at its first use: after the fixtures."""
        return self.make_store()

    def setup_method(self) -> None:
        """Make the names for one test."""
        noise = secrets.token_hex(8)
        self.key = f"key:{noise}"
        self.tags = [f"tag:{noise}:{each}" for each in ("one", "two", "three")]
        self.tag = self.tags[0]

    # Versions

    def test_missing(self) -> None:
        """A key that was never filled and a tag that nobody began to use are None."""
        snapshot = self.store.read(self.key, self.tags)

        assert snapshot.entry is None
        assert snapshot.versions == (None, None, None)

    def test_begin_fill_creates_versions(self) -> None:
        """begin_fill gives every missing tag a version of 8 bytes, each another one."""
        versions = self.store.begin_fill(self.key, self.tags, 5).versions

        assert [len(version or b"") for version in versions] == [8, 8, 8]
        assert len(set(versions)) == 3

    def test_versions_stay(self) -> None:
        """A version stays the same for reads and fills of any key, as long as nobody writes."""
        versions = self.store.begin_fill(self.key, self.tags, 5).versions

        assert self.store.read(self.key, self.tags).versions == versions
        assert self.store.read("other", self.tags).versions == versions
        assert self.store.begin_fill("other" + self.key, self.tags, 5).versions == versions

    def test_versions_stand_in_the_order_asked(self) -> None:
        """Versions come in the order of the tags, one for each, also when a tag is asked for twice."""
        one, two, three = self.store.begin_fill(self.key, self.tags, 5).versions
        order = [self.tags[2], self.tags[0], "never" + self.tag, self.tags[1], self.tags[0]]

        assert self.store.read(self.key, order).versions == (three, one, None, two, one)

    def test_no_tags(self) -> None:
        """An entry without tags is stored like any other, and a writer without tags does nothing."""
        fill = self.store.begin_fill(self.key, [], 5)
        assert fill.versions == ()
        assert fill.lease is not None

        self.store.fill(self.key, b"entry", fill.lease, None)
        self.store.mark([], "writer", 5)
        self.store.done([], "writer")

        assert self.store.read(self.key, []).entry == b"entry"

    def test_done_moves_only_its_tags(self) -> None:
        """Done drops the versions of its tags and leaves every other one."""
        _, two, three = self.store.begin_fill(self.key, self.tags, 5).versions

        self.store.done([self.tag], "writer")

        assert self.store.read(self.key, self.tags).versions == (None, two, three)

    def test_versions_are_never_reused(self) -> None:
        """A tag never gets a version again that it had before."""
        seen = set()
        for _ in range(100):
            seen.add(self.store.begin_fill(self.key, [self.tag], 0).versions)
            self.store.mark([self.tag], "writer", 5)
            self.store.done([self.tag], "writer")

        assert len(seen) == 100
        assert (None,) not in seen

    def test_evicted_version_comes_back_as_another(self) -> None:
        """A version that was evicted is missing, and begin_fill makes a new one."""
        before = self.store.begin_fill(self.key, [self.tag], 5).versions
        self.evict(self.tag)

        assert self.store.read(self.key, [self.tag]).versions == (None,)
        assert self.store.begin_fill(self.key, [self.tag], 5).versions not in {before, (None,)}

    def test_readers_agree_on_a_version(self) -> None:
        """Readers that begin at the same time get the same versions, and one of them gets the lease."""
        if not self.add_is_atomic:
            raise unittest.SkipTest("The store says that it cannot.")
        fills = self.together(lambda _: self.store.begin_fill(self.key, self.tags, 5))

        assert len({fill.versions for fill in fills}) == 1
        assert sum(fill.lease is not None for fill in fills) == 1

    # Marks

    def test_pending_reads_none(self) -> None:
        """A pending tag has no version, while its neighbours keep theirs."""
        _, two, three = self.store.begin_fill(self.key, self.tags, 5).versions

        self.store.mark([self.tag], "writer", 5)

        assert self.store.read(self.key, self.tags).versions == (None, two, three)

    def test_pending_creates_none(self) -> None:
        """begin_fill creates no version for a pending tag, had it one before or not."""
        self.store.begin_fill(self.key, self.tags[:1], 5)
        self.store.mark(self.tags[:2], "writer", 5)

        versions = self.store.begin_fill(self.key, self.tags, 5).versions

        assert versions[:2] == (None, None)
        assert versions[2] is not None
        assert self.store.read(self.key, self.tags).versions == versions

    def test_done_ends_the_mark(self) -> None:
        """After done, the tag is missing, and the next reader gives it a new version."""
        before = self.store.begin_fill(self.key, [self.tag], 5).versions
        self.store.mark([self.tag], "writer", 5)

        self.store.done([self.tag], "writer")

        assert self.store.read(self.key, [self.tag]).versions == (None,)
        assert self.store.begin_fill(self.key, [self.tag], 5).versions not in {before, (None,)}

    def test_done_is_harmless_when_repeated(self) -> None:
        """A second done, or one that was never marked, costs at most a version."""
        self.store.done([self.tag], "writer")
        self.store.mark([self.tag], "writer", 5)
        self.store.done([self.tag], "writer")
        self.store.done([self.tag], "writer")

        assert self.store.begin_fill(self.key, [self.tag], 5).versions != (None,)

    def test_marks_count(self) -> None:
        """The done of one writer does not end the mark of another."""
        if not self.store.counts_marks:
            raise unittest.SkipTest("The store says that it does not count marks.")
        self.store.mark([self.tag], "early", 5)
        self.store.mark([self.tag], "late", 5)

        self.store.done([self.tag], "early")
        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

        self.store.done([self.tag], "late")
        assert self.store.begin_fill(self.key, [self.tag], 5).versions != (None,)

    def test_last_mark_wins(self) -> None:
        """A store that does not count marks lets the first done end them all."""
        if self.store.counts_marks:
            raise unittest.SkipTest("The store counts marks.")
        self.store.mark([self.tag], "early", 5)
        self.store.mark([self.tag], "late", 5)

        self.store.done([self.tag], "early")

        assert self.store.begin_fill(self.key, [self.tag], 5).versions != (None,)

    def test_mark_of_an_evicted_tag(self) -> None:
        """A mark holds whether the tag had a version, lost it, or never had one."""
        self.store.begin_fill(self.key, [self.tag], 5)
        self.evict(self.tag)

        self.store.mark([self.tag], "writer", 5)

        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

    def test_eviction_of_a_pending_tag(self) -> None:
        """begin_fill asks the pending record itself: no eviction of the version makes a pending tag look missing."""
        if not self.store.counts_marks:
            # There the version and the marker share one place. The marker's eviction opens a window until `done`.
            raise unittest.SkipTest("The store keeps a marker in the version's place.")
        self.store.begin_fill(self.key, [self.tag], 5)
        self.store.mark([self.tag], "writer", 5)
        self.evict(self.tag)

        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

    def test_mark_ends_by_itself(self) -> None:
        """The mark of a writer that died ends by time, and leaves the tag without a version."""
        before = self.store.begin_fill(self.key, [self.tag], 5).versions
        self.store.mark([self.tag], "dead", self.short_seconds)
        assert self.store.read(self.key, [self.tag]).versions == (None,)

        self.advance(self.short_seconds + self.spare_seconds)

        assert self.store.read(self.key, [self.tag]).versions == (None,)
        assert self.store.begin_fill(self.key, [self.tag], 5).versions not in {before, (None,)}

    def test_dead_mark_ends_while_others_mark(self) -> None:
        """The mark of a writer that died ends by time also when other writers mark the same tag meanwhile."""
        if not self.store.counts_marks:
            raise unittest.SkipTest("The store says that it does not count marks.")
        self.store.mark([self.tag], "dead", self.short_seconds)
        self.store.mark([self.tag], "alive", 5)
        self.advance(self.short_seconds + self.spare_seconds)
        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

        self.store.done([self.tag], "alive")

        assert self.store.begin_fill(self.key, [self.tag], 5).versions != (None,)

    def test_short_mark_does_not_shorten_a_long_one(self) -> None:
        """A mark that ends soon leaves a longer one of another writer as it is, whichever came first."""
        if not self.store.counts_marks:
            raise unittest.SkipTest("The store says that it does not count marks.")
        self.store.mark([self.tag], "long", 5)
        self.store.mark([self.tag], "short", self.short_seconds)

        self.advance(self.short_seconds + self.spare_seconds)

        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)

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

    # Many

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
                partial(self.store.begin_fill, self.key, some, 5),
                partial(self.store.fill, self.key, b"entry", b"token", 5),
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

    # Tools

    def lease(self) -> bytes:
        """The lease on the test's key, taken."""
        lease = self.store.begin_fill(self.key, self.tags, 5).lease
        assert lease is not None
        return lease

    def together(self, work: Callable[[int], T]) -> list[T]:
        """What *work* returns in each of several threads that start at the same time."""
        if self.threads == 1:
            return [work(0)]
        start = threading.Barrier(self.threads)
        results: dict[int, T] = {}
        errors: list[Exception] = []

        def run(number: int) -> None:
            start.wait()
            try:
                results[number] = work(number)
            except Exception as error:  # noqa: BLE001 - raised again below, in the test's own thread
                errors.append(error)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(self.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return [results[number] for number in range(self.threads)]
