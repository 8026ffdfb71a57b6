"""The atomic steps of readers and writers, from which `provers.protocol.schemes` puts its programs together."""

# ruff: noqa: ARG001  every step has the same three arguments

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from provers.protocol.model import (
    HELD,
    Entry,
    Life,
    Move,
    Reader,
    Scheme,
    State,
    Step,
    Version,
    at_rest,
    new_version,
    put,
)

MARKER = -1
"""In a tag's place: some writer is pending. A plain store's marker names its writer: -1, -2."""

STAND_IN = 1 << 4
"""In a pending record: somebody whose own record was lost; the two bits before it say who had not ended by then."""

TOMBSTONE = Entry(-1, ())


def on(tags: Iterable[int], step: Step) -> Step:
    """Note which tags a step is about, for those who take it on a real store."""
    step.tags = tuple(tags)
    return step


# Readers


def look(scheme: Scheme, state: State, me: int) -> Move:
    """Entry and tags in one atomic look: MGET on one server."""
    return _judge(scheme, _begin_read(scheme, state, me), me, state.entry, state.tags)


def look_to_stamp(scheme: Scheme, state: State, me: int) -> Move:
    """As `look`. A hit of which a tag has moved all the same is to be stamped anew; what is missed skips that."""
    state = _begin_read(scheme, state, me)
    entry, live = state.entry, tuple(map(_version, state.tags))
    if entry is None or scheme.stale(entry.versions, live):
        after = _reader(state, me, skip=2, needed=0, ended=0, found=None, taken=())
        return Move("", f"misses: {_entry(entry)}, tags {_tags(state.tags)}", after)
    if entry.versions == live:
        return _end_read(state, me, f"HIT: {_value(entry.value)}", entry.value)
    needed, ended = state.readers[me].needed, state.readers[me].ended
    after = _reader(state, me, needed=0, ended=0, found=entry, taken=())
    return Move("", f"HIT, though a tag has moved: {_value(entry.value)}", after, entry.value, needed, ended)


def stamp_anew(scheme: Scheme, state: State, me: int) -> Move:
    """Let the hit stand under the versions that were taken since, if it is valid by them and nothing took its place."""
    reader = state.readers[me]
    if reader.found is None or scheme.stale(reader.found.versions, reader.taken):
        return _end_read(state, me, "stamps nothing: it is stale by now")
    return _stamped(state, me, reader.found.versions)


def stamp_unseen(scheme: Scheme, state: State, me: int) -> Move:
    """The same, though nobody looked whether it is valid by them."""
    found = state.readers[me].found
    return _stamped(state, me, () if found is None else found.versions)


def look_at_entry(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """The first of several looks, as at the nodes of a cluster."""
    return _reader(_begin_read(scheme, state, me), me, found=state.entry), f"sees {_entry(state.entry)}"


def look_at_tags(scheme: Scheme, state: State, me: int) -> Move:
    """The other look: all tags."""
    reader = state.readers[me]
    return _judge(scheme, state, me, reader.found, state.tags)


def look_at_tag(number: int) -> Step:
    """One of the other looks: one tag. The last of them judges."""

    def look_at_tag(scheme: Scheme, state: State, me: int) -> tuple[State, str] | Move:
        reader = state.readers[me]
        taken = (*reader.taken, state.tags[number])
        if len(taken) < len(state.tags):
            return _reader(state, me, taken=taken), f"sees tag {number}: {_tag(state.tags[number])}"
        return _judge(scheme, state, me, reader.found, taken)

    return on((number,), look_at_tag)


def look_at_tags_first(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """Tags before the entry, as when nodes answer in another order."""
    return _reader(_begin_read(scheme, state, me), me, taken=state.tags), f"sees the tags: {_tags(state.tags)}"


def look_at_entry_last(scheme: Scheme, state: State, me: int) -> Move:
    """The entry after the tags."""
    reader = state.readers[me]
    return _judge(scheme, state, me, state.entry, reader.taken)


def begin(*tags: int) -> Step:
    """begin_fill: take the versions of *tags*, create missing ones, leave pending ones alone."""

    def begin(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        return _take(state, me, tags or range(len(state.tags)), lambda tag: bool(state.pending[tag]))

    return on(tags, begin)


def begin_at_tag_only(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """begin_fill that does not look at the pending record."""
    return _take(state, me, range(len(state.tags)), lambda _: False)


def get_tag(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """First part of begin_fill on a plain store: one look."""
    held = state.tags[0]
    if held is None:
        return _reader(state, me), "begins to fill: tag 0 is missing"
    return _reader(state, me, skip=2, taken=(_version(held),)), f"begins to fill: {_tag(held)}"


def add_tag(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """Second part: add, which does nothing where there is something."""
    if state.tags[0] is not None:
        return _reader(state, me), "adds a version: refused"
    version = new_version(state)
    return _reader(state._replace(tags=(version,)), me, skip=1, taken=(version,)), f"adds version {version}"


def get_tag_again(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """Third part, where the add was refused: whose version, or whose marker?"""
    held = state.tags[0]
    return _reader(state, me, taken=(_version(held),)), f"looks again: {_tag(held)}"


def begin_without_creating(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """Take the versions as they are, missing ones too."""
    return _reader(state, me, taken=state.tags), f"takes {_tags(state.tags)}"


def compute(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """The query: it sees what is committed now."""
    return _reader(state, me, value=state.row), f"queries: {_value(state.row)}"


def open_snapshot(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """BEGIN at REPEATABLE READ: all queries to come see what is committed now."""
    return _reader(state, me, value=state.row), f"opens a snapshot: {_value(state.row)}"


def fill(scheme: Scheme, state: State, me: int) -> Move:
    """Store the answer under the versions taken, unless it would be stale at once."""
    taken = state.readers[me].taken
    if scheme.stale(taken, taken):
        return _end_read(state, me, "stores nothing")
    return _end_read(state._replace(entry=Entry(state.readers[me].value, taken)), me, f"stores under {_tags(taken)}")


def take_row_tag_and_fill(scheme: Scheme, state: State, me: int) -> Move:
    """Take the row tag's version only now, after the query, and store."""
    (after, _) = begin(1)(scheme, state, me)
    return fill(scheme, after, me)


def look_again_at_any_and_fill(scheme: Scheme, state: State, me: int) -> Move:
    """Store only if tag 0 (``T*``) has not moved since before the query."""
    if state.tags[0] is None or state.tags[0] != state.readers[me].taken[0]:
        return _end_read(state, me, "stores nothing: T* has moved")
    return fill(scheme, state, me)


def look_aside(scheme: Scheme, state: State, me: int) -> Move:
    """A hit is an entry that is there."""
    state = _begin_read(scheme, state, me)
    if state.entry is None or state.entry == TOMBSTONE:
        return Move("", "finds nothing", _reader(state, me, needed=0, ended=0))
    return _end_read(state, me, f"HIT: {_value(state.entry.value)}", state.entry.value)


def put_entry(scheme: Scheme, state: State, me: int) -> Move:
    """Store the answer, whatever happened."""
    return _end_read(state._replace(entry=Entry(state.readers[me].value, ())), me, "stores")


def add_entry(scheme: Scheme, state: State, me: int) -> Move:
    """Store the answer where there is nothing, not even a tombstone."""
    if state.entry is not None:
        return _end_read(state, me, "adds the entry: refused")
    return put_entry(scheme, state, me)


def register_and_put(scheme: Scheme, state: State, me: int) -> Move:
    """Store the answer and note its key in the set that writers will empty."""
    return put_entry(scheme, state._replace(tags=(1,)), me)


def stamp_and_put(scheme: Scheme, state: State, me: int) -> Move:
    """Store the answer with the time it is now; a table without a time gets one."""
    state = state._replace(tags=(state.clock if state.tags[0] is None else state.tags[0],))
    entry = Entry(state.readers[me].value, (state.clock,))
    return _end_read(state._replace(entry=entry), me, f"stores with time {state.clock}")


def take_counter(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """The counter; a missing one is 0."""
    count = state.tags[0] or 0
    return _reader(state._replace(tags=(count,)), me, taken=(count,)), f"takes counter {count}"


# Writers


def mark(tag: int) -> Step:
    """Pending twice over: in the record, and as a marker in the version's place; the loss of one is no harm."""

    def mark(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        record = state.pending[tag]
        if not record and (state.tags[tag] or 0) < 0:
            # The record was lost. Whom it named stays pending, by a stand-in, until the marker's time ends.
            record = STAND_IN | state.promised[tag] << 2
        return _advance(_promise(state, me, tag, record | 1 << me, MARKER), me), f"marks tag {tag}"

    return on((tag,), mark)


def mark_record_only(tag: int) -> Step:
    """Pending in the record only; the version is dropped."""

    def mark(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        return _advance(_promise(state, me, tag, state.pending[tag] | 1 << me, None), me), f"marks tag {tag}"

    return on((tag,), mark)


def mark_in_place(tag: int) -> Step:
    """Pending as a marker in the version's place only: the last mark wins."""

    def mark(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        return _advance(_promise(state, me, tag, 0, MARKER - me), me), f"marks tag {tag}"

    return on((tag,), mark)


def mark_over_hold(tag: int) -> Step:
    """Mark, and leave to a hold what it keeps."""

    def mark(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        held = state.tags[tag]
        kept = held if held is not None and held <= HELD else MARKER
        return _advance(_promise(state, me, tag, state.pending[tag] | 1 << me, kept), me), f"marks tag {tag}"

    return on((tag,), mark)


def done_under_hold(tag: int) -> Step:
    """End the own mark, and leave to a hold what it keeps."""

    def done(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        left = state.pending[tag] & ~(1 << me)
        kept = state.tags[tag] if left else None
        return _advance(_promise(state, me, tag, left, kept, over=True), me), f"is done with tag {tag}"

    return on((tag,), done)


def hold(tag: int) -> Step:
    """Pending as by a mark, but the marker keeps the version: tag *tag* is to stand for others that are not marked."""

    def hold(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        record, held = state.pending[tag], state.tags[tag]
        marker = MARKER
        if not record and held is not None and held < 0:
            record = STAND_IN | state.promised[tag] << 2
        elif held is not None and held <= HELD:
            marker = held
        elif not record and held is not None:
            marker = HELD - held
        return _advance(_promise(state, me, tag, record | 1 << me, marker), me), f"holds tag {tag}"

    return on((tag,), hold)


def lift(tag: int, rows: Iterable[int]) -> Step:
    """Drop the versions of the tags *rows*, then end the own hold; the last one out gives the version back."""
    rows = tuple(rows)

    def lift(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        tags = tuple(
            None if at in rows and held is not None and held >= 0 else held for at, held in enumerate(state.tags)
        )
        state = state._replace(tags=tags)
        known = state.pending[tag] >> me & 1
        left = state.pending[tag] & ~(1 << me)
        held = state.tags[tag]
        if held is None or held >= 0:
            held = None
        elif known and not left:
            held = HELD - held if held <= HELD else None
        return _advance(_promise(state, me, tag, left, held, over=True), me), f"lifts tag {tag} off {rows}"

    return on((tag, *rows), lift)


def commit(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """COMMIT."""
    row = state.row | 1 << me
    return _advance(state._replace(row=row), me), f"commits: {_value(row)}"


def done(*tags: int) -> Step:
    """End the own marks on *tags* at once; drop the versions, and each marker that stands for nobody else."""

    def done(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        for tag in tags:
            known = state.pending[tag] >> me & 1
            left = state.pending[tag] & ~(1 << me)
            held = state.tags[tag]
            # A marker without our record beside it: the record was lost, and with it who else is pending. It ends by
            # time.
            keeps = held == MARKER and (left or not known)
            state = _promise(state, me, tag, left, held if keeps else None, over=True)
        return _advance(state, me), f"is done with tag {', '.join(map(str, tags))}"

    return on(tags, done)


def done_record_only(tag: int) -> Step:
    """End the own mark and drop the version."""

    def done(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        left = state.pending[tag] & ~(1 << me)
        return _advance(_promise(state, me, tag, left, None, over=True), me), f"is done with tag {tag}"

    return on((tag,), done)


def drop(tag: int) -> Step:
    """Drop whatever the tag holds: done on a plain store, and the bump of schemes without marks."""

    def drop(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        return _advance(_promise(state, me, tag, state.pending[tag], None, over=True), me), f"drops tag {tag}"

    return on((tag,), drop)


def renew(tag: int) -> Step:
    """Give the tag a new version."""

    def renew(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
        version = new_version(state)
        return _advance(state._replace(tags=put(state.tags, tag, version)), me), f"gives tag {tag} version {version}"

    return renew


def delete_entry(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """Delete the entry."""
    return _advance(state._replace(entry=None), me), "deletes the entry"


def bury_entry(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """Put a tombstone in the entry's place; it lapses."""
    state = state._replace(entry=TOMBSTONE, promised=(state.promised[0] | 1 << me,))
    return _advance(state, me), "puts a tombstone"


def delete_registered(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """Delete the entries that the tag's set names."""
    entry = None if state.tags[0] else state.entry
    return _advance(state._replace(entry=entry, tags=(None,)), me), "deletes the entries that are noted"


def stamp(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """Note the time of the table's last change."""
    clock = state.clock + 1
    return _advance(state._replace(clock=clock, tags=(clock,)), me), f"stamps the table with time {clock}"


def count_up(scheme: Scheme, state: State, me: int) -> tuple[State, str]:
    """INCR."""
    count = (state.tags[0] or 0) + 1
    return _advance(state._replace(tags=(count,)), me), f"counts up to {count}"


# What time alone does


def markers_lapse(state: State) -> Iterator[tuple[str, State]]:
    """A marker (and a stand-in) ends with the last mark that it stands for."""
    for tag, held in enumerate(state.tags):
        promised = state.promised[tag]
        if held is not None and held < 0 and not promised:
            yield f"ends the marker of tag {tag}", state._replace(tags=put(state.tags, tag, None))
        record = state.pending[tag]
        if record & STAND_IN and not record >> 2 & promised:
            yield f"ends the stand-in on tag {tag}", state._replace(pending=put(state.pending, tag, record & 0b11))


def plain_markers_lapse(state: State) -> Iterator[tuple[str, State]]:
    """A plain marker ends with the mark of the writer it names."""
    for tag, held in enumerate(state.tags):
        if held is not None and held < 0 and not state.promised[tag] >> (MARKER - held) & 1:
            yield f"ends the marker of tag {tag}", state._replace(tags=put(state.tags, tag, None))


def tombstones_lapse(state: State) -> Iterator[tuple[str, State]]:
    """A tombstone ends when nobody is in the middle of a write."""
    if state.entry == TOMBSTONE and all(w.life is Life.DEAD or w.at in {0, 3} for w in state.writers):
        yield "ends the tombstone", state._replace(entry=None)


# The small print


def _judge(scheme: Scheme, state: State, me: int, entry: Entry | None, tags: tuple[Version, ...]) -> Move:
    live = tuple(map(_version, tags))
    if entry is None or scheme.stale(entry.versions, live):
        return Move(
            "",
            f"misses: {_entry(entry)}, tags {_tags(tags)}",
            _reader(state, me, needed=0, ended=0, found=None, taken=()),
        )
    return _end_read(state, me, f"HIT: {_value(entry.value)}", entry.value)


def _take(state: State, me: int, tags: range | tuple[int, ...], is_pending: Callable[[int], bool]) -> tuple[State, str]:
    taken = []
    for tag in tags:
        if is_pending(tag):
            taken.append(None)
            continue
        if state.tags[tag] is None:
            state = state._replace(tags=put(state.tags, tag, new_version(state)))
        taken.append(_version(state.tags[tag]))
    held = state.readers[me].taken
    return _reader(state, me, taken=(*held, *taken)), f"begins to fill: takes {_tags(tuple(taken))}"


def _stamped(state: State, me: int, was: tuple[Version, ...]) -> Move:
    taken = state.readers[me].taken
    if None in taken or state.entry is None or state.entry.versions != was:
        return _end_read(state, me, "stamps nothing")
    return _end_read(state._replace(entry=Entry(state.entry.value, taken)), me, f"stamps it with {_tags(taken)}")


def _reader(state: State, me: int, skip: int = 0, **changes: object) -> State:
    reader = state.readers[me]
    return state._replace(readers=put(state.readers, me, reader._replace(at=reader.at + 1 + skip, **changes)))


def _begin_read(scheme: Scheme, state: State, me: int) -> State:
    """Note what a fresh answer must hold from here on."""
    reader = state.readers[me]._replace(needed=state.row, ended=at_rest(scheme, state))
    return state._replace(readers=put(state.readers, me, reader))


def _end_read(state: State, me: int, what: str, served: int | None = None) -> Move:
    reader = state.readers[me]
    after = state._replace(readers=put(state.readers, me, Reader(reader.reads - 1)))
    return Move("", what, after, served, reader.needed, reader.ended)


def _advance(state: State, me: int) -> State:
    return state._replace(writers=put(state.writers, me, state.writers[me]._replace(at=state.writers[me].at + 1)))


def _promise(state: State, me: int, tag: int, record: int, held: Version, *, over: bool = False) -> State:
    promised = state.promised[tag] & ~(1 << me) if over else state.promised[tag] | 1 << me
    return state._replace(
        pending=put(state.pending, tag, record),
        promised=put(state.promised, tag, promised),
        tags=put(state.tags, tag, held),
    )


def _version(held: Version) -> Version:
    return None if held is None or held < 0 else held


def _value(value: int) -> str:
    return "/".join(
        ["old", *[f"W{number + 1}" for number in range(value.bit_length()) if value >> number & 1]][value > 0 :]
    )


def _entry(entry: Entry | None) -> str:
    if entry is None:
        return "no entry"
    return f"entry {_value(entry.value)} under {_tags(entry.versions)}"


def _tag(held: Version) -> str:
    return "missing" if held is None else "pending" if held < 0 else f"v{held}"


def _tags(tags: tuple[Version, ...]) -> str:
    return ", ".join(map(_tag, tags)) or "nothing"
