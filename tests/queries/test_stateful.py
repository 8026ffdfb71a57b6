"""Any history of two connections: after every step, what is served is what the database would say to that connection.

A history is reads that are remembered and asked again and again, writes by every path, transactions with savepoints in
them, commits and rollbacks, on two connections whose transactions overlap. Nothing here is allowed to be stale: each
operation runs whole, so not even the windows of plain stores are open.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from django.core.cache import caches
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from hypothesis.strategies import DataObject

from tests.conftest import Configure
from tests.queries.everyday import THEMES, everyday_read, everyday_write
from tests.queries.sessions import Session, Tally, two_sessions
from tests.queries.strategies import Asked, asked
from tests.queries.world import World, write

pytestmark = pytest.mark.django_db(transaction=True)

log = logging.getLogger(__name__)

REMEMBERED = 6
"""Reads that are asked after each step."""

LEAST_HITS = 0.4
"""Of all reads, far more of which come after a write than would in an application."""

QUICK = settings(
    max_examples=10,
    stateful_step_count=14,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
THOROUGH = settings(QUICK, max_examples=100, stateful_step_count=40)

BOTH = st.sampled_from([0, 1])
DATA = st.data()
LOOKING = st.sampled_from([(0, 1), (1, 0), (0,), (1,)])
"""Who asks after a step, and in which order: the second may be served what the first has stored."""


class History(RuleBasedStateMachine):
    """Two connections to one library."""

    def __init__(
        self, world: World, sessions: tuple[Session, Session], configured: Callable[[bool, bool, bool], None]
    ) -> None:
        super().__init__()
        world.reset()
        self.sessions = sessions
        self.tally = sessions[0].tally
        self.tally.examples += 1
        self.theme = ""
        self.reads: list[Asked] = []
        self._configure = configured
        self._failed = False

    # What is asked

    @initialize(
        everything=st.booleans(),
        rows=st.booleans(),
        near=st.booleans(),
        theme=st.sampled_from(THEMES),
        data=DATA,
        snapshot=st.booleans(),
        opened=st.tuples(*[st.sampled_from(["", "atomic", "atomic", "manual"])] * 2),
    )
    def ask(
        self,
        theme: str,
        data: DataObject,
        everything: bool,
        rows: bool,
        near: bool,
        snapshot: bool,
        opened: tuple[str, str],
    ) -> None:
        """Cache what is said to be, or also what relations and writes read by themselves.

        With row entries or without, and with near copies, where the store is Redis, or without.

        One connection is at Django's default, READ COMMITTED; the transactions of the other may see a *snapshot*.
        """
        self._configure(everything, rows, near)
        self.sessions[1].connect(snapshot=snapshot)
        self.theme = theme
        reads = [self.a_read(data) for _ in range(REMEMBERED)]
        self.reads = [read for read in dict.fromkeys(reads) if self.sessions[0].is_possible(read)]
        self.look((0, 1))
        for session, kind in zip(self.sessions, opened, strict=True):
            if kind:
                session.begin(kind)
            if kind == "atomic":
                session.check_at_commit(self.reads)

    @rule(of=BOTH, data=DATA, looking=LOOKING)
    def ask_another(self, of: int, data: DataObject, looking: tuple[int, ...]) -> None:
        """Ask for something else from now on, instead of what was asked for longest."""
        read = self.a_read(data)
        if read not in self.reads and self.sessions[of].is_possible(read):
            self.reads = [*self.reads[-REMEMBERED + 1 :], read]
        self.look(looking)

    # What happens

    @rule(of=BOTH, data=DATA, looking=LOOKING, guarded=st.sampled_from([True, True, False]))
    def write(self, of: int, data: DataObject, looking: tuple[int, ...], guarded: bool) -> None:
        """One write."""
        self.sessions[of].write(self.a_write(data), guarded=guarded)
        self.look(looking)

    @rule(of=BOTH, data=DATA, looking=LOOKING)
    def write_twice(self, of: int, data: DataObject, looking: tuple[int, ...]) -> None:
        """Two writes that nobody reads between, each on its own connection."""
        for session in (self.sessions[of], self.sessions[1 - of]):
            session.write(self.a_write(data), guarded=True)
        self.look(looking)

    @rule(of=BOTH, kind=st.sampled_from(["atomic", "atomic", "joined", "savepoint", "manual"]), looking=LOOKING)
    def begin(self, of: int, kind: str, looking: tuple[int, ...]) -> None:
        """Open a transaction, at whose COMMIT a hook asks too; in an open one, a block or a savepoint."""
        session = self.sessions[of]
        if not session.depth and kind in ("joined", "savepoint"):
            kind = "atomic"
        if session.depth and kind == "manual":
            kind = "savepoint"
        session.begin(kind)
        if kind in ("atomic", "joined"):
            session.check_at_commit(self.reads)
        self.look(looking)

    @precondition(lambda self: self.has_open(""))
    @rule(of=BOTH, keep=st.sampled_from([True, True, False]), looking=LOOKING)
    def end(self, of: int, keep: bool, looking: tuple[int, ...]) -> None:
        """Leave the innermost block or savepoint, with its writes or without."""
        session = self.sessions[of] if self.sessions[of].depth else self.sessions[1 - of]
        session.end(keep=keep)
        self.look(looking)

    @precondition(lambda self: self.has_open("savepoint") or self.has_open("manual"))
    @rule(of=BOTH, looking=LOOKING)
    def turn_back(self, of: int, looking: tuple[int, ...]) -> None:
        """Roll back to a savepoint that stays, or a transaction by hand."""
        session = self.sessions[of]
        if session.innermost in ("savepoint", "manual"):
            session.turn_back()
            self.look(looking)

    @precondition(lambda self: self.has_open("manual"))
    @rule(of=BOTH, looking=LOOKING)
    def commit_midway(self, of: int, looking: tuple[int, ...]) -> None:
        """Commit by hand, and go on without autocommit."""
        session = self.sessions[of]
        if session.innermost == "manual":
            session.commit_midway()
            self.look(looking)

    @rule(seldom=st.integers(0, 4), looking=LOOKING)
    def lose_the_store(self, seldom: int, looking: tuple[int, ...]) -> None:
        """Everything in the store is evicted."""
        if seldom == 0:
            caches["default"].clear()
        self.look(looking)

    @precondition(lambda self: self.has_open(""))
    @rule(of=BOTH, data=DATA, looking=LOOKING, kind=st.sampled_from(["atomic", "savepoint"]), keep=st.booleans())
    def write_in_a_block(self, of: int, data: DataObject, looking: tuple[int, ...], kind: str, keep: bool) -> None:
        """A write in a savepoint of its own, read there too, and then kept or not."""
        session = self.sessions[of] if self.sessions[of].depth else self.sessions[1 - of]
        depth = session.depth
        session.begin(kind)
        session.write(self.a_write(data), guarded=True)
        self.look(looking)
        if session.depth > depth:
            session.end(keep=keep)
        self.look(looking)

    def a_read(self, data: DataObject) -> Asked:
        """A read of this history's theme, or any."""
        every = st.one_of(everyday_read(self.theme), everyday_read(self.theme), everyday_read(""), asked())
        return data.draw(every)  # type: ignore[no-any-return]

    def a_write(self, data: DataObject) -> str:
        """A write of this history's theme, or any."""
        every = st.one_of(everyday_write(self.theme), everyday_write(self.theme), everyday_write(""), write())
        return data.draw(every)  # type: ignore[no-any-return]

    def has_open(self, kind: str) -> bool:
        """Is a block of that kind, or of any, the innermost of a connection?"""
        return any(session.depth and session.innermost.startswith(kind) for session in self.sessions)

    # What must hold

    def look(self, who: tuple[int, ...]) -> None:
        """Ask everything."""
        self.tally.steps += 1
        overlapping = all(session.depth for session in self.sessions)
        try:
            for at in who:
                gone = self.sessions[at].check(self.reads, overlapping=overlapping)
                self.reads = [read for read in self.reads if read not in gone]
        except BaseException:
            self._failed = True
            raise

    def teardown(self) -> None:
        """What was not committed never was."""
        for session in self.sessions:
            session.abort()
        if not self._failed:
            self.look((0, 1))


@pytest.fixture
def world(transactional_db: None) -> World:
    """The rows all histories start from."""
    return World()


def run(world: World, configure: Configure, how: settings) -> Tally:
    """Run histories; gives what they came to."""
    tally = Tally()

    def configured(everything: bool, rows: bool, near: bool) -> None:
        configure(CACHE_ALL=everything, NEAR=near, MODELS={"*": {"rows": rows}})

    with two_sessions(tally) as sessions:
        run_state_machine_as_test(lambda: History(world, sessions, configured), settings=how)
    log.info("%s, %.0f %% hits", tally, 100 * tally.share)
    return tally


@pytest.mark.slow
@pytest.mark.timeout(900)  # to make a failure small takes minutes
def test_nothing_is_stale_in_any_history(world: World, configure: Configure) -> None:
    """Cached == uncached on either connection after every step. It is easy to be right with nothing cached."""
    tally = run(world, configure, QUICK)
    assert tally.share >= LEAST_HITS, tally


@pytest.mark.prove
@pytest.mark.timeout(7200)
def test_nothing_is_stale_in_any_history_thoroughly(world: World, configure: Configure) -> None:
    """The same, in thousands of steps, among them some of each kind."""
    tally = run(world, configure, THOROUGH)
    assert tally.share >= LEAST_HITS, tally
    assert tally.commits, tally
    assert tally.rollbacks, tally
    assert tally.overlapping, tally
    assert tally.hooks, tally
