"""The rules of tags: versions and marks."""

from __future__ import annotations

import unittest

from everfresh.testing.hooks import StoreHooks

__all__ = ["TagContract"]


class TagContract(StoreHooks):
    """Versions are random and never come back; marks make tags pending."""

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

    # A tag that is held in the place of others. `tags` are the held one and two under it.

    def test_held_is_pending(self) -> None:
        """A held tag is pending like a marked one; those under it are not."""
        _, two, _ = self.store.begin_fill(self.key, self.tags, 5).versions

        self.store.mark([], "writer", 5, [self.tag])

        assert self.store.read(self.key, self.tags[:2]).versions == (None, two)
        assert self.store.begin_fill(self.key, self.tags[:2], 5).versions == (None, two)

    def test_end_of_a_hold(self) -> None:
        """After done, the tags under the held one are without versions; it has its own again, where the store holds."""
        one, _, three = self.store.begin_fill(self.key, self.tags, 5).versions
        self.store.mark([], "writer", 5, [self.tag])

        self.store.done([], "writer", {self.tag: [self.tags[1]]})

        held = one if self.store.holds else None
        assert self.store.read(self.key, self.tags).versions == (held, None, three)

    def test_hold_that_cannot_be_given_back(self) -> None:
        """A held tag that had no version gets none."""
        self.store.mark([], "writer", 5, [self.tag])
        self.store.done([], "writer", {self.tag: []})

        assert self.store.read(self.key, [self.tag]).versions == (None,)
        assert self.store.begin_fill(self.key, [self.tag], 5).versions != (None,)

    def test_holds_count(self) -> None:
        """Of two holds on a tag, the last to end gives the version back."""
        if not self.store.holds:
            raise unittest.SkipTest("The store says that it does not hold.")
        before = self.store.begin_fill(self.key, self.tags, 5).versions
        self.store.mark([], "early", 5, [self.tag])
        self.store.mark([], "late", 5, [self.tag])

        self.store.done([], "early", {self.tag: [self.tags[1]]})
        assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)
        self.store.done([], "late", {self.tag: [self.tags[2]]})

        assert self.store.read(self.key, self.tags).versions == (before[0], None, None)

    def test_mark_wins_over_a_hold(self) -> None:
        """A held tag that somebody marks meanwhile moves, whoever is done first."""
        if not self.store.counts_marks:
            raise unittest.SkipTest("The store says that it does not count marks.")
        for last in ("holder", "writer"):
            before = self.store.begin_fill(self.key, [self.tag], 5).versions
            self.store.mark([], "holder", 5, [self.tag])
            self.store.mark([self.tag], "writer", 5)
            if last == "writer":
                self.store.done([], "holder", {self.tag: []})
            self.store.done([self.tag], "writer")
            if last == "holder":
                assert self.store.begin_fill(self.key, [self.tag], 5).versions == (None,)
                self.store.done([], "holder", {self.tag: []})

            assert self.store.begin_fill(self.key, [self.tag], 5).versions not in {before, (None,)}

    def test_hold_of_the_dead(self) -> None:
        """A writer that died may have committed and dropped nothing: no other holder brings the version back."""
        for comes_late in (False, True):
            before = self.store.begin_fill(self.key, [self.tag], 5).versions
            self.store.mark([], "dead", self.short_seconds, [self.tag])
            self.store.mark([], "long", 5, [self.tag])
            self.advance(self.short_seconds + self.spare_seconds)
            if comes_late:
                self.store.mark([], "late", 5, [self.tag])
                self.store.done([], "late", {self.tag: []})

            self.store.done([], "long", {self.tag: []})

            assert self.store.begin_fill(self.key, [self.tag], 5).versions not in {before, (None,)}

    def test_hold_of_many(self) -> None:
        """As many tags as a large write has."""
        tags = [f"{self.tag}:{number}" for number in range(self.many_tags)]
        self.store.begin_fill(self.key, tags, 5)
        self.store.mark([], "writer", 5, [self.tag])

        self.store.done([], "writer", {self.tag: tags})

        assert set(self.store.read(self.key, tags).versions) == {None}
