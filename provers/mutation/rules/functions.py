"""Computations: what they depend on, who computes them, for how long an old one may be served (DESIGN section 7)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

RECORDED = "tests/functions/test_recorded.py"
TAGS = "tests/functions/test_tags.py"
WAITING = "tests/functions/test_waiting.py"
GRACE = "tests/functions/test_grace.py"
TRIPS = "tests/functions/test_trips.py"

MUTANTS = [
    Mutant(
        rule="past the limit of tags, the tables of a read stand for it",
        file="reading/entries.py",
        old="        recording.note([frozenset({frozenset({name})}) for name in names], (), timeout)\n",
        new="",
        tests=RECORDED,
    ),
    Mutant(
        rule="a tag that moved and did no harm gets a version in a recording, for a list of rows too",
        file="reading/many.py",
        old="                versions = renewed_hit(self._store, wanted, entry, versions)",
        new="                pass",
        tests=RECORDED,
    ),
    Mutant(
        rule="a tag that moved gets a version only where it did no harm until then",
        file="reading/entries.py",
        old="        return live\n    if store.renews and None not in now:",
        new="        pass\n    if store.renews and None not in now:",
        tests=RECORDED,
    ),
    Mutant(
        rule="what stands for a table's rows is of before they were read",
        file="reading/entries.py",
        old="        recording.note([frozenset({frozenset({name})}) for name in names], (), timeout)",
        new="        found = current_store().begin_fill(NO_KEY, names, 0).versions\n"
        "        recording.versions.update(zip(names, found, strict=True))\n"
        "        recording.note([frozenset({frozenset({name})}) for name in names], (), timeout)",
        tests=RECORDED,
    ),
    Mutant(
        rule="a computation that raises hands on what it read before",
        file="recorded/reading.py",
        old="            finally:\n                if self.computation.is_declared:",
        new="            except BaseException:\n                raise\n            else:\n"
        "                if self.computation.is_declared:",
        tests=RECORDED,
    ),
    Mutant(
        rule="what must not be kept is not kept as a part",
        file="recorded/reasons.py",
        old="    if recorded.timeout == 0:",
        new="    if computation.timeout == 0:",
        tests=RECORDED,
    ),
    Mutant(
        rule="a computation lives no longer than what it read",
        file="recorded/stored.py",
        old="    timeout = recorded.timeout\n",
        new="    timeout = computation.timeout\n",
        tests=RECORDED,
    ),
    Mutant(
        rule="what is under a tag depends on it",
        file="recorded/computations.py",
        old="    yield from computation.tags",
        new="    yield from ()",
        tests=TAGS,
    ),
    Mutant(
        rule="tags that the result tells count only where none has moved since the begin",
        file="recorded/reading.py",
        old="        if fence is None or fence != begun.versions[-1]:",
        new="        if False:",
        tests=TAGS,
    ),
    Mutant(
        rule="every tag named by people moves what stands for all of them",
        file="writing/invalidation.py",
        old='for name in ("", *names))',
        new="for name in names)",
        tests=TAGS,
    ),
    Mutant(
        rule="nobody queues for what cannot be stored",
        file="recorded/reading.py",
        old="            if landed in (None, Landing.UNSTORED)",
        new="            if landed is None",
        tests=WAITING,
    ),
    Mutant(
        rule="after an error one tries again, not all",
        file="recorded/reading.py",
        old="        landing = Landing.FAILED",
        new="        landing = Landing.UNSTORED",
        tests=WAITING,
    ),
    Mutant(
        rule="who holds locks of the database waits for nobody",
        file="recorded/reading.py",
        old=" and not await self.steps.ask(_holds_locks)",
        new="",
        tests=WAITING,
        db="postgresql",
        store="redis",
    ),
    Mutant(
        rule="nobody waits for himself",
        file="recorded/reading.py",
        old="not is_ours(self.key) and",
        new="",
        tests=WAITING,
    ),
    Mutant(
        rule="what an index does not take holds nobody up",
        file="recorded/reading.py",
        old="            return replace(self._versions(), is_down=True)",
        new="            return self._versions()",
        tests=WAITING,
    ),
    Mutant(
        rule="what is new is listed before versions are taken",
        file="recorded/reading.py",
        old="        if not self._is_listed and not self._enroll():",
        new="        if False:",
        tests=TRIPS,
    ),
    Mutant(
        rule="what is stored under another name is not listed under this one",
        file="recorded/reading.py",
        old=" and set(self.own.names) <= set(self._seen.dependencies.names)",
        new="",
        tests=TRIPS,
    ),
    Mutant(
        rule="what is computed anew is listed for as long as it is stored",
        file="recorded/reading.py",
        old="        if begun.lease is None or self._is_enrolled or self._enroll():",
        new="        if True:",
        tests=TRIPS,
    ),
    Mutant(
        rule="nothing is stored for longer than it is listed",
        file="recorded/stored.py",
        old="min(longest(recorded.timeout), longest(computation.timeout))",
        new="longest(recorded.timeout)",
        tests=TRIPS,
    ),
    Mutant(
        rule="an old result is served for its grace only",
        file="ages.py",
        old="    return monotonic() < since + grace",
        new="    return True",
        tests=GRACE,
    ),
    Mutant(
        rule="what has ended is served for its grace only",
        file="ages.py",
        old="        return end is not None and time() < end + grace",
        new="        return True",
        tests=GRACE,
    ),
    Mutant(
        rule="an old result is served only where that was asked for",
        file="recorded/stored.py",
        old="        if computation.grace is None:\n            return False\n",
        new="        if computation.grace is None:\n            return True\n",
        tests=GRACE,
    ),
    Mutant(
        rule="what is computed from an old result is not kept",
        file="recorded/reading.py",
        old="            outer.moved = True",
        new="            pass",
        tests=GRACE,
    ),
    Mutant(
        rule="the lease that a task was handed is given back where nothing is stored",
        file="recorded/reading.py",
        old="                if self._lease is not None:\n                    await",
        new="                if False:\n                    await",
        tests="tests/functions/test_tasks.py",
    ),
    Mutant(
        rule="a task gives back the lease that it was handed",
        file="functions/refreshing.py",
        old="    face.recompute((tuple(args), kwargs), lease)",
        new="    face.recompute((tuple(args), kwargs), None)",
        tests="tests/functions/test_tasks.py",
    ),
    Mutant(
        rule="what is computed from an old answer of a query is not kept",
        file="reading/one.py",
        old="            recording.moved = True",
        new="            pass",
        tests="tests/queries/test_grace.py",
    ),
    Mutant(
        rule="an old answer of a query ends with its grace",
        file="reading/one.py",
        old="grace, is_valid=is_valid):",
        new="1e9, is_valid=is_valid):",
        tests="tests/queries/test_grace.py",
    ),
    Mutant(
        rule="an answer past its timeout is not served as current",
        file="reading/one.py",
        old=" or ages.is_over(_end.unpack_from(data)[0]):",
        new=":",
        tests="tests/queries/test_grace.py",
    ),
    Mutant(
        rule="answers with grace and without have keys of their own",
        file="queries/plan.py",
        old='"q" if grace is None else "g"',
        new='"q"',
        tests="tests/queries/test_grace.py",
    ),
    Mutant(
        rule="what is left of a stored result limits what is computed from it",
        file="recorded/stored.py",
        old="None if self.expires is None else ages.left_until(self.expires)",
        new="None",
        tests=RECORDED,
    ),
    Mutant(
        rule="what is given and is not what the database holds is not stored",
        file="given/rows.py",
        old="        recorded.moved = True",
        new="        pass",
        tests="tests/functions/test_given.py",
    ),
    Mutant(
        rule="a list that is given is as long as the database has it",
        file="given/rows.py",
        old="        if len(held) != len(asked):\n            raise _Differs\n",
        new="        held, asked = held[: len(asked)], asked[: len(held)]\n",
        tests="tests/functions/test_given.py",
    ),
    Mutant(
        rule="a prefetched list is part of what an instance is called",
        file="given/names.py",
        old="    carried += _prefetched(value, depth)\n",
        new="",
        tests="tests/functions/test_memoize.py",
    ),
    Mutant(
        rule="a fragment is for who sees the same values as when it was rendered",
        file="fragments/rendering.py",
        old="is_same = _digest(settled(value)) == was",
        new="is_same = True",
        tests="tests/fragments/test_fragments.py",
    ),
    Mutant(
        rule="what holds a token is not stored",
        file="fragments/rendering.py",
        old="        if root in _NEVER and value is not MISSING:",
        new="        if root in _NEVER:\n            return value\n        if False:",
        tests="tests/fragments/test_fragments.py",
    ),
]
