"""The protocol as it is, and the schemes that were not chosen, each as two short programs.

Read the programs, then what the search says of them; `EXPECTED` holds what it must say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from provers.protocol import steps
from provers.protocol.model import Faults, Outcome, Scheme, Step, Version

__all__ = [
    "COLUMNS",
    "EXPECTED",
    "FULL",
    "FULL_TWO_GROUPS",
    "FULL_WHOLE_TWO_GROUPS",
    "HOLD",
    "HOLD_AND_EPOCH",
    "HOLD_AND_MARK",
    "HOLD_APART",
    "OURS",
    "PLAIN_WHOLE",
    "READS",
    "REJECTED",
    "STAMPED",
]

OneTag = Callable[[int], Step]
Writer = Callable[[tuple[int, ...]], tuple[Step, ...]]


def program(*parts: tuple[Step, ...] | tuple[str, Callable[..., Step]]) -> Writer:
    """A writer's program: plain steps, and steps made for each of the write's tags, or for all together."""

    def make(tags: tuple[int, ...]) -> tuple[Step, ...]:
        plan: list[Step] = []
        for part in parts:
            if part[0] == "each":
                plan += [part[1](tag) for tag in tags]
            elif part[0] == "together":
                plan.append(part[1](*tags))
            else:
                plan += part
        return tuple(plan)

    return make


def each(step: OneTag) -> tuple[str, OneTag]:
    """A step for every tag of the write, in their order."""
    return ("each", step)


def together(step: Callable[..., Step]) -> tuple[str, Callable[..., Step]]:
    """One step for all tags of the write."""
    return ("together", step)


COMMIT = (steps.commit,)

# The protocol

FULL = Scheme(
    name="full: counted marks",
    reader=(steps.look, steps.begin(), steps.compute, steps.fill),
    writer=program(each(steps.mark), COMMIT, each(steps.done)),
    lapse=steps.markers_lapse,
)
FULL_ON_NODES = replace(
    FULL,
    name="full, entry and tag on two nodes",
    reader=(steps.look_at_entry, steps.look_at_tags, *FULL.reader[1:]),
)
FULL_ON_NODES_REVERSED = replace(
    FULL,
    name="full, the nodes answer in the other order",
    reader=(steps.look_at_tags_first, steps.look_at_entry_last, *FULL.reader[1:]),
)
_TWO_TAGS = (steps.look_at_entry, steps.look_at_tag(0), steps.look_at_tag(1), steps.begin(0), steps.begin(1))
FULL_ONE_GROUP = replace(
    FULL,
    name="full, one group of two tags on two nodes",
    reader=(*_TWO_TAGS, steps.compute, steps.fill),
    writes=((0,), (1,)),
    groups=((0, 1),),
)
FULL_TWO_GROUPS = replace(
    FULL_ONE_GROUP,
    name="full, two groups, one write that touches both",
    writes=((0, 1), (0,)),
    changing=0b01,
    groups=((0,), (1,)),
)
FULL_WHOLE_TWO_GROUPS = replace(
    FULL_TWO_GROUPS,
    name="full, two groups on one node",
    reader=(steps.look, steps.begin(), steps.compute, steps.fill),
)
STAMPED = replace(
    FULL_WHOLE_TWO_GROUPS,
    name="hits are stamped anew",
    reader=(steps.look_to_stamp, steps.begin(), steps.stamp_anew, steps.begin(), steps.compute, steps.fill),
    writer=program(each(steps.mark), COMMIT, together(steps.done)),
)
PLAIN = Scheme(
    name="plain: the last mark wins",
    reader=(
        *(steps.look_at_entry, steps.look_at_tags),
        *(steps.get_tag, steps.add_tag, steps.get_tag_again),
        *(steps.compute, steps.fill),
    ),
    writer=program(each(steps.mark_in_place), COMMIT, each(steps.drop)),
    lapse=steps.plain_markers_lapse,
)
PLAIN_ONE_WRITER = replace(PLAIN, name="plain, writers do not overlap", writes=((0,),), changing=0b01)
PLAIN_WHOLE = replace(
    PLAIN,
    name="plain, each store operation in one step",
    reader=(steps.look, steps.begin(), steps.compute, steps.fill),
)
FENCED = replace(
    FULL,
    name="full, row tags after the query, fenced",
    reader=(steps.look, steps.begin(0), steps.compute, steps.begin(1), steps.look_again_at_any_and_fill),
    writes=((0, 1), (0, 1)),
    groups=((1,),),
)


def bulk(
    epoch: int,
    *,
    mark: OneTag = steps.mark,
    done: OneTag = steps.done,
    lift: Callable[..., tuple[Step, ...]] = lambda epoch, rows: (steps.lift(epoch, rows),),
    every: int | None = None,
) -> Writer:
    """Programs of writers of which those that write more than one tag hold *epoch* for the others, but mark *every*."""

    def make(tags: tuple[int, ...]) -> tuple[Step, ...]:
        if len(tags) == 1:
            return (mark(tags[0]), steps.commit, done(tags[0]))
        rows = [tag for tag in tags if tag not in (epoch, every)]
        before, after = ((), ()) if every is None else ((mark(every),), (done(every),))
        return (steps.hold(epoch), *before, steps.commit, *after, *lift(epoch, rows))

    return make


HOLD = replace(FULL, name="hold: two large writes", writer=bulk(0), writes=((0, 1), (0, 1)), groups=((0, 1),))
HOLD_AND_MARK = replace(HOLD, name="hold: a large and a small write", writes=((0, 1), (1,)))
HOLD_AND_EPOCH = replace(HOLD, name="hold: a large write and one of unknown rows", writes=((0, 1), (0,)))
HOLD_APART = replace(HOLD, name="hold: two large writes of other rows", writes=((0, 1), (0, 2)), changing=0b01)
HOLD_ASIDE = replace(
    HOLD_AND_EPOCH, name="hold: of rows beside the answer, and one of unknown rows", changing=0b10, groups=((0,),)
)
HOLD_AND_ANY = replace(
    HOLD, name="hold: of what does not look at T!, for T* is marked", writer=bulk(0, every=1), groups=((1,),)
)
HOLD_FENCED = replace(
    FENCED,
    name="hold: row tags after the query, fenced",
    reader=(steps.look, steps.begin(0, 1), steps.compute, steps.begin(2), steps.look_again_at_any_and_fill),
    writer=bulk(1),
    writes=((1, 0, 2), (1, 0, 2)),
    groups=((1, 2),),
)

OURS = (
    FULL,
    FULL_ON_NODES,
    FULL_ON_NODES_REVERSED,
    FULL_ONE_GROUP,
    FULL_TWO_GROUPS,
    FULL_WHOLE_TWO_GROUPS,
    STAMPED,
    FENCED,
    HOLD,
    HOLD_AND_MARK,
    HOLD_AND_EPOCH,
    HOLD_APART,
    HOLD_ASIDE,
    HOLD_AND_ANY,
    HOLD_FENCED,
    PLAIN,
    PLAIN_WHOLE,
    PLAIN_ONE_WRITER,
)

# What was not chosen


def not_before(stored: Version, live: Version) -> bool:
    """Timestamps: an entry is good when it is not older than the table's last change."""
    return stored is not None and live is not None and stored >= live


ASIDE = (steps.look_aside, steps.compute, steps.put_entry)
BUMP = program(COMMIT, each(steps.drop))

REJECTED = (
    Scheme(name="delete after commit", reader=ASIDE, writer=program(COMMIT, (steps.delete_entry,))),
    Scheme(
        name="delete before and after commit",
        reader=ASIDE,
        writer=program((steps.delete_entry,), COMMIT, (steps.delete_entry,)),
    ),
    Scheme(
        name="tombstones, entries by add",
        reader=(steps.look_aside, steps.compute, steps.add_entry),
        writer=program((steps.bury_entry,), COMMIT, (steps.bury_entry,)),
        lapse=steps.tombstones_lapse,
    ),
    Scheme(
        name="table times, taken after the query (cachalot)",
        reader=(steps.look, steps.compute, steps.stamp_and_put),
        writer=program(COMMIT, (steps.stamp,)),
        fresh=not_before,
        symmetric_versions=False,
    ),
    Scheme(
        name="noted for writers at the fill (cacheops)",
        reader=(steps.look_aside, steps.compute, steps.register_and_put),
        writer=program(COMMIT, (steps.delete_registered,)),
    ),
    Scheme(
        name="counters as versions",
        reader=(steps.look, steps.take_counter, steps.compute, steps.fill),
        writer=program(COMMIT, (steps.count_up,)),
        symmetric_versions=False,
    ),
    Scheme(
        name="a missing version is valid",
        reader=(steps.look, steps.begin_without_creating, steps.compute, steps.fill),
        writer=program(COMMIT, each(steps.renew)),
        fresh=lambda stored, live: stored == live,
    ),
    Scheme(
        name="random versions, no mark before COMMIT",
        reader=FULL.reader,
        writer=BUMP,
    ),
    replace(FULL, name="mark after COMMIT", writer=program(COMMIT, each(steps.mark), each(steps.done))),
    replace(
        FULL,
        name="begin_fill looks only at the tag",
        reader=(steps.look, steps.begin_at_tag_only, steps.compute, steps.fill),
    ),
    replace(
        FULL,
        name="the same, and marks leave no marker there",
        reader=(steps.look, steps.begin_at_tag_only, steps.compute, steps.fill),
        writer=program(each(steps.mark_record_only), COMMIT, each(steps.done_record_only)),
    ),
    replace(
        FULL,
        name="pending record alone, no marker in the tag",
        writer=program(each(steps.mark_record_only), COMMIT, each(steps.done_record_only)),
    ),
    replace(FULL, name="tags read after the query", reader=(steps.look, steps.compute, steps.begin(), steps.fill)),
    replace(
        FULL, name="fill from an older snapshot", reader=(steps.open_snapshot, steps.look, steps.begin(), steps.fill)
    ),
    replace(
        FENCED,
        name="row tags after the query, unfenced",
        reader=(steps.look, steps.begin(0), steps.compute, steps.begin(1), steps.fill),
    ),
    replace(FENCED, name="fenced, no mark, T* moved first", writer=BUMP),
    replace(FENCED, name="fenced, no mark, T* moved last", writer=BUMP, writes=((1, 0), (1, 0))),
    replace(STAMPED, name="stamped anew, marks end one by one", writer=FULL.writer),
    replace(
        STAMPED,
        name="stamped anew, whatever happened since the look",
        reader=(*STAMPED.reader[:2], steps.stamp_unseen, *STAMPED.reader[3:]),
    ),
    replace(
        HOLD_ASIDE,
        name="hold, given back though others moved it",
        writer=bulk(0, mark=steps.mark_over_hold, done=steps.done_under_hold),
    ),
    replace(
        HOLD,
        name="hold, row tags dropped after its end",
        writer=bulk(0, lift=lambda epoch, rows: (steps.lift(epoch, ()), *map(steps.drop, rows))),
    ),
    replace(HOLD_AND_ANY, name="hold, in the place of T*, too", writer=bulk(0)),
    replace(HOLD_APART, name="hold, given back past one that died", time_spoils=False),
)

# What the search must say

COLUMNS = {
    "no accident": Faults(),
    "1 eviction": Faults(evictions=1),
    "1 crash": Faults(crashes=1),
    "eviction + crash": Faults(evictions=1, crashes=1),
    "flush": Faults(flushes=1),
    "slow writer": Faults(slow=1),
}
"""The accidents of each column."""

READS = {
    FULL_ON_NODES.name: (1, 1),
    FULL_ON_NODES_REVERSED.name: (1, 1),
    FULL_ONE_GROUP.name: (1, 1),
    FULL_TWO_GROUPS.name: (2,),
    FULL_WHOLE_TWO_GROUPS.name: (1, 1),
    STAMPED.name: (2, 1),
    "stamped anew, marks end one by one": (3,),
    "stamped anew, whatever happened since the look": (3,),
    FENCED.name: (1, 1),
    HOLD.name: (1, 1),
    HOLD_AND_MARK.name: (1, 1),
    HOLD_AND_EPOCH.name: (1, 1),
    HOLD_APART.name: (1, 1),
    HOLD_ASIDE.name: (1, 1),
    HOLD_AND_ANY.name: (1, 1),
    HOLD_FENCED.name: (1, 1),
    PLAIN.name: (2, 1),
}
"""How often each reader reads, where twice would take too long."""

_SAFE = "· · · · w w"
_WORDS = {"·": Outcome.NEVER, "w": Outcome.WINDOW, "F": Outcome.FOREVER}

_EXPECTED = {
    FULL.name: _SAFE,
    FULL_ON_NODES.name: _SAFE,
    FULL_ON_NODES_REVERSED.name: _SAFE,
    FULL_ONE_GROUP.name: _SAFE,
    FULL_TWO_GROUPS.name: _SAFE,
    FULL_WHOLE_TWO_GROUPS.name: _SAFE,
    STAMPED.name: _SAFE,
    FENCED.name: _SAFE,
    HOLD.name: _SAFE,
    HOLD_AND_MARK.name: _SAFE,
    HOLD_AND_EPOCH.name: _SAFE,
    HOLD_APART.name: _SAFE,
    HOLD_ASIDE.name: _SAFE,
    HOLD_AND_ANY.name: _SAFE,
    HOLD_FENCED.name: _SAFE,
    PLAIN.name: "w w F F w w",
    PLAIN_WHOLE.name: "w w F F w w",
    PLAIN_ONE_WRITER.name: "· w · F w w",
    "delete after commit": "F F F F F F",
    "delete before and after commit": "F F F F F F",
    "tombstones, entries by add": "F F F F F F",
    "table times, taken after the query (cachalot)": "F F F F F F",
    "noted for writers at the fill (cacheops)": "F F F F F F",
    "counters as versions": "w F F F F w",
    "a missing version is valid": "w F F F F w",
    "random versions, no mark before COMMIT": "w w F F w w",
    "mark after COMMIT": "w w F F w w",
    "begin_fill looks only at the tag": "· w · F w w",
    "the same, and marks leave no marker there": "w w F F w w",
    "pending record alone, no marker in the tag": "· w · F w w",
    "tags read after the query": "F F F F F F",
    "fill from an older snapshot": "F F F F F F",
    "row tags after the query, unfenced": "F F F F F F",
    "fenced, no mark, T* moved first": "w w F F w w",
    "fenced, no mark, T* moved last": "F F F F F F",
    "stamped anew, marks end one by one": "· · · · F F",
    "stamped anew, whatever happened since the look": "F F F F F F",
    "hold, given back though others moved it": "F F F F F F",
    "hold, row tags dropped after its end": "w w F F w w",
    "hold, in the place of T*, too": "w w F F w w",
    "hold, given back past one that died": "· · F F w w",
}

EXPECTED: dict[tuple[str, str], Outcome] = {
    (name, column): _WORDS[word]
    for name, row in _EXPECTED.items()
    for column, word in zip(COLUMNS, row.split(), strict=True)
}
"""The outcome by the name of the scheme and the column."""
