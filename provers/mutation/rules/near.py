"""Copies in the process (DESIGN section 6)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

NEAR = "tests/stores/test_near.py"
CONNECTION = "tests/stores/test_near_connection.py"
KEPT = "tests/stores/test_kept.py"

MUTANTS = [
    Mutant(
        rule="a near read first takes what the server has pushed",
        file="stores/copies.py",
        old="                self._ready()\n                or self._is_listening",
        new="                self._is_listening",
        tests=NEAR,
    ),
    Mutant(
        rule="a near read waits for another thread that has taken what was pushed",
        file="stores/copies.py",
        old="                or self._is_listening\n",
        new="",
        tests=NEAR,
    ),
    Mutant(
        rule="another server than the one that is tracked is found out at the next read",
        file="stores/copies.py",
        old="                or self._incarnation != self.store.incarnation\n",
        new="",
        tests=CONNECTION,
    ),
    Mutant(
        rule="no copy is looked at after the lifetime of its entry",
        file="stores/copies.py",
        old=" or copy.until <= now:\n            return None",
        new=":\n            return None",
        tests=NEAR,
    ),
    Mutant(
        rule="a copy shows the tags it was asked for with",
        file="stores/copies.py",
        old=" or (copy.tags != tags and copy.tags != tuple(tags))",
        new="",
        tests=NEAR,
    ),
    Mutant(
        rule="what is pending or missing is not kept",
        file="stores/copies.py",
        old="if entry is None or lifetime <= 0 or None in versions:",
        new="if entry is None or lifetime <= 0:",
        tests=NEAR,
    ),
    Mutant(
        rule="a reader who looked before a change that was heard of leaves no copy",
        file="stores/copies.py",
        old="if self._clock == begun or self._is_so(key, names, begun):",
        new="if True:",
        tests=NEAR,
    ),
    Mutant(
        rule="a change that had to be forgotten may have been of anything",
        file="stores/copies.py",
        old="            begun >= self._forgotten\n            and ",
        new="            ",
        tests=NEAR,
    ),
    Mutant(
        rule="what this process marks it forgets itself",
        file="stores/near.py",
        old="            self._forget_own(tags=[*tags, *held])",
        new="            pass",
        tests=NEAR,
    ),
    Mutant(
        rule="what this process stores it forgets itself",
        file="stores/near.py",
        old="self.store.fill(key, entry, lease, timeout)\n        finally:\n            self._forget_own(keys=[key])",
        new="self.store.fill(key, entry, lease, timeout)\n        finally:\n            pass",
        tests=NEAR,
    ),
    Mutant(
        rule="a list from copies is one of one moment",
        file="stores/copies.py",
        old="            if copy.seen > proved:\n                moment = -inf\n",
        new="",
        tests=NEAR,
    ),
    Mutant(
        rule="a list from copies goes by versions of the same moment",
        file="stores/copies.py",
        old=" or mark.seen > moment:",
        new=":",
        tests=NEAR,
    ),
    Mutant(
        rule="a server that is emptied empties the process",
        file="stores/copies.py",
        old="                if told.is_all:\n                    self._forget_all()\n                elif told.names:",
        new="                if told.names:",
        tests=NEAR,
    ),
    Mutant(
        rule="copies go with the connection",
        file="stores/copies.py",
        old="    def _hang_up(self) -> None:\n        self._forget_all()\n",
        new="    def _hang_up(self) -> None:\n",
        tests=f"{NEAR} {CONNECTION}",
    ),
    Mutant(
        rule="a silent connection proves nothing for longer than the bound",
        file="stores/copies.py",
        old="return now < self._proved + self._silence",
        new="return True",
        tests=CONNECTION,
    ),
    Mutant(
        rule="a ping proves what was when it was sent",
        file="stores/copies.py",
        old="self._proved, self._pinged = self._pinged, None",
        new="self._proved, self._pinged = now, None",
        tests=CONNECTION,
    ),
    Mutant(
        rule="a connection on which nothing is pushed is not believed",
        file="stores/copies.py",
        old="            self._prove(pushes, beginning)\n",
        new='            pushes.wait_for(b"") if False else pushes._sock.setblocking(False)\n',
        tests=CONNECTION,
    ),
    Mutant(
        rule="an interrupt between taking and forgetting leaves no copy",
        file="stores/copies.py",
        old="                # KeyboardInterrupt, or a greenlet killed: what was taken may not be forgotten yet.\n"
        "                self._hang_up()\n",
        new="",
        tests=CONNECTION,
    ),
    Mutant(
        rule="a forked child leaves the parent's connection alone",
        file="stores/copies.py",
        old='parent\'s, and so is what comes on it."""\n        self._start()',
        new='parent\'s, and so is what comes on it."""',
        tests=NEAR,
    ),
    Mutant(
        rule="while a tag is in debt no copy is looked at",
        file="stores/guard.py",
        old="return bool(self._failing or self._kept or self._unsent or self._under_way)",
        new="return bool(self._failing)",
        tests=NEAR,
    ),
    Mutant(
        rule="while the store does not answer no copy is looked at",
        file="stores/guard.py",
        old="return bool(self._failing or self._kept or self._unsent or self._under_way)",
        new="return bool(self._kept or self._unsent or self._under_way)",
        tests=NEAR,
    ),
    Mutant(
        rule="what was decoded beside a copy is not handed out with other versions",
        file="stores/guard.py",
        old="return replace(seen, versions=versions, held=None)",
        new="return replace(seen, versions=versions)",
        tests=NEAR,
    ),
    Mutant(
        rule="names that are cut in two are read whole",
        file="stores/pushes.py",
        old='        self._rest = b"\\r\\n".join(lines[at:])',
        new='        self._rest = b""',
        tests=CONNECTION,
    ),
    Mutant(
        rule="a text that holds a line end is not taken for names",
        file="stores/pushes.py",
        old="        if len(lines[at]) != count:",
        new="        if False:",
        tests=CONNECTION,
    ),
    Mutant(
        rule="the end of the stream is the end of the connection",
        file="stores/pushes.py",
        old='        raise RedisConnectionError("The server closed the connection.")\n\n    def ping',
        new="        return _NOTHING\n\n    def ping",
        tests=CONNECTION,
    ),
    Mutant(
        rule="copies are bounded by bytes",
        file="stores/kept.py",
        old="        while self.size > self._limit:\n            self._evict()",
        new="",
        tests=KEPT,
    ),
    Mutant(
        rule="a copy goes with each of its tags",
        file="stores/kept.py",
        old="            mark.copies.add(copy)\n",
        new="            mark.copies = {copy}\n",
        tests=KEPT,
    ),
    Mutant(
        rule="the burial of a copy leaves alone who has its tags now",
        file="stores/kept.py",
        old="                if not mark.copies:\n                    del self._marks[tag]",
        new="                del self._marks[tag]",
        tests=KEPT,
    ),
]
