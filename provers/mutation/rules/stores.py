"""The stores and what stands before them (DESIGN sections 4 and 6)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

SCHEDULES = "tests/protocol_model/test_schedules.py"
REDIS = "tests/stores/test_redis.py"
DJANGO = "tests/stores/test_django.py"
LOCAL = "tests/stores/test_local.py"
GUARD = "tests/stores/test_guard.py"

MUTANTS = [
    # Redis
    Mutant(
        rule="begin_fill looks at the pending record itself",
        file="stores/lua/begin_fill.lua",
        old=" or type(writers) == 'table' or writers > 0 then",
        new=" then",
        tests=REDIS,
    ),
    Mutant(
        rule="begin_fill looks at the marker too",
        file="stores/lua/begin_fill.lua",
        old="(type(version) == 'string' and string.sub(version, 1, 7) == 'pending') or ",
        new="",
        tests=REDIS,
    ),
    Mutant(
        rule="a mark that is past its deadline holds nobody up",
        file="stores/lua/begin_fill.lua",
        old="'(' .. now, '+inf'",
        new="'-inf', '+inf'",
        tests=REDIS,
    ),
    Mutant(
        rule="a version is created only where there is none",
        file="stores/lua/begin_fill.lua",
        old="type(version) ~= 'string' or #version ~= 8",
        new="true",
        tests=REDIS,
    ),
    Mutant(
        rule="one reader at a time holds the lease",
        file="stores/lua/begin_fill.lua",
        old="ARGV[1], 'NX', 'PX', ARGV[2]",
        new="ARGV[1], 'PX', ARGV[2]",
        tests=REDIS,
    ),
    Mutant(
        rule="a lease is given back by its holder alone",
        file="stores/lua/release.lua",
        old="if redis.call('GET', KEYS[1]) == ARGV[1] then",
        new="if true then",
        tests=REDIS,
    ),
    Mutant(
        rule="a mark takes the version away",
        file="stores/lua/mark.lua",
        old="    redis.call('SET', places[at], 'pending', 'PX', ARGV[2])\n",
        new="",
        tests=REDIS,
    ),
    Mutant(
        rule="a mark lasts as long as the longest of its tag",
        file="stores/lua/mark.lua",
        old="  redis.call('PEXPIREAT', pending, last)",
        new="  last = now + ARGV[2]\n  redis.call('PEXPIREAT', pending, last)",
        tests=REDIS,
    ),
    Mutant(
        rule="an evicted record is stood in for",
        file="stores/lua/mark.lua",
        old="string.sub(held, 1, 7) == 'pending' and redis.call('EXISTS', pending) == 0",
        new="false",
        tests=REDIS,
    ),
    Mutant(
        rule="done drops the version",
        file="stores/lua/done.lua",
        old="  redis.call('UNLINK', unpack(KEYS))",
        new="  redis.call('UNLINK', unpack(records))",
        tests=REDIS,
    ),
    Mutant(
        rule="marks of overlapping writers count",
        file="stores/lua/done.lua",
        old="'ZREM', ",
        new="'UNLINK', ",
        tests=REDIS,
    ),
    Mutant(
        rule="the marker stays for the writer who is left",
        file="stores/lua/done.lua",
        old="(known and not others)",
        new="known",
        tests=REDIS,
    ),
    Mutant(
        rule="where the record was evicted, done takes no other writer's marker",
        file="stores/lua/done.lua",
        old="(known and not others)",
        new="not others",
        tests=REDIS,
    ),
    Mutant(
        rule="a lone writer's mark is found by who comes next",
        file="stores/lua/mark.lua",
        old="local alone = redis.call('EXISTS', unpack(records)) == 0",
        new="local alone = true",
        tests=REDIS,
    ),
    Mutant(
        rule="the end of a hold drops the versions under it",
        file="stores/lua/lift.lua",
        old="    redis.call('UNLINK', unpack(dropped))\n",
        new="",
        tests=REDIS,
    ),
    Mutant(
        rule="the end of a hold takes no other writer's marker",
        file="stores/lua/lift.lua",
        old="if held and string.sub(held, 1, 7) ~= 'pending' then",
        new="if held then",
        tests=SCHEDULES,
    ),
    Mutant(
        rule="a hold gives the version back",
        file="stores/lua/hold.lua",
        old="(#held == 8 and held or '')",
        new="''",
        tests=REDIS,
    ),
    Mutant(
        rule="a mark wins over a hold",
        file="stores/lua/mark.lua",
        old="  redis.call('SET', name, 'pending', 'PX', last - now)",
        new="  redis.call('SET', name, held or 'pending', 'PX', last - now)",
        tests=REDIS,
    ),
    Mutant(
        rule="after a hold that ended by time the version is not given back",
        file="stores/lua/lift.lua",
        old="#held == 15 and not died",
        new="#held == 15",
        tests=REDIS,
    ),
    Mutant(
        rule="nobody else is given back what a dead writer held",
        file="stores/lua/hold.lua",
        old="if died or not is_pending",
        new="if not is_pending",
        tests=REDIS,
    ),
    Mutant(
        rule="an entry in Redis lives as long as it was said to",
        file="stores/redis.py",
        old="lifetime = self._lifetime if timeout is None else _milliseconds(timeout)\n"
        "        self._ask(lambda at: [FILL",
        new="lifetime = self._lifetime\n        self._ask(lambda at: [FILL",
        tests=REDIS,
    ),
    Mutant(
        rule="a server that came back from an old snapshot is another one",
        file="stores/redis.py",
        old='found[1].decode() if found else "0"',
        new='"0"',
        tests=REDIS,
    ),
    Mutant(
        rule="a connection to the server before is not believed",
        file="stores/redis.py",
        old="            if _incarnation(connection) != self._incarnation:",
        new="            if False:",
        tests=REDIS,
    ),
    Mutant(
        rule="an answer of a server replaced meanwhile is not believed",
        file="stores/redis.py",
        old="            if _incarnation(connection) != incarnation:\n",
        new="            if False:\n",
        tests=REDIS,
    ),
    Mutant(
        rule="a connection left in the middle of an answer is not used again",
        file="stores/redis.py",
        old="        except BaseException:\n"
        "            # Also KeyboardInterrupt or a greenlet killed: "
        "the next user must not read the rest of our answers.\n"
        "            connection.disconnect()",
        new="        except BaseException:",
        tests=REDIS,
    ),
    # Any of Django's
    Mutant(
        rule="a marker is no version",
        file="stores/django.py",
        old="isinstance(value, bytes) and len(value) == VERSION_BYTES else None",
        new="isinstance(value, bytes) else None",
        tests=DJANGO,
    ),
    Mutant(
        rule="no version is written over a marker",
        file="stores/django.py",
        old="if self._cache.add(name, candidate, None):",
        new="if self._cache.set(name, candidate, None) is None:",
        tests=DJANGO,
    ),
    Mutant(
        rule="a mark that left a version standing has failed",
        file="stores/django.py",
        old="        if failed or left:",
        new="        if failed:",
        tests=DJANGO,
    ),
    Mutant(
        rule="a mark that the backend refused has failed",
        file="stores/django.py",
        old="        if failed or left:",
        new="        if left:",
        tests=DJANGO,
    ),
    Mutant(
        rule="an entry in a Django cache lives as long as it was said to",
        file="stores/django.py",
        old="entry, None if timeout is None else _whole(timeout))",
        new="entry, None)",
        tests=DJANGO,
    ),
    # The transaction's own
    Mutant(
        rule="an overlay keeps to itself",
        file="stores/local.py",
        old="self._under.begin_fill(NO_KEY, tags, 0)",
        new="self._under.begin_fill(key, tags, 1)",
        tests=LOCAL,
    ),
    Mutant(
        rule="an overlay's versions are those of the shared store too",
        file="stores/local.py",
        old="Snapshots(entries=entries, versions=_blend(local, self._under.read(NO_KEY, tags).versions))",
        new="Snapshots(entries=entries, versions=tuple(local))",
        tests=LOCAL,
    ),
    Mutant(
        rule="an own write drops the overlay's versions",
        file="stores/local.py",
        old="            self._versions.pop(tag, None)",
        new="            pass",
        tests=LOCAL,
    ),
    Mutant(
        rule="versions are random",
        file="stores/base.py",
        old="    noise = os.urandom(VERSION_BYTES * count)",
        new="    noise = bytes(VERSION_BYTES * count)",
        tests=LOCAL,
    ),
    # A store that is down
    Mutant(
        rule="what could not be sent is not trusted",
        file="stores/guard.py",
        old="return tuple(None if tag in doubted else version for tag, version in zip(tags, versions, strict=True))",
        new="return versions",
        tests=GUARD,
    ),
    Mutant(
        rule="a debt made while the store was asked counts",
        file="stores/guard.py",
        old="        doubted |= self._doubted(tags)\n",
        new="",
        tests=GUARD,
    ),
    Mutant(
        rule="a debt paid while the store was asked counts",
        file="stores/guard.py",
        old="        doubted |= self._doubted(tags)\n",
        new="        doubted = self._doubted(tags)\n",
        tests=GUARD,
    ),
    Mutant(
        rule="an invalidation that could not be sent is owed",
        file="stores/guard.py",
        old="            _add(self._unsent, tags, writer)\n            _remove",
        new="            _remove",
        tests=GUARD,
    ),
    Mutant(
        rule="debts are paid before the store is trusted again",
        file="stores/guard.py",
        old="        if self._unsent:\n            self.retry()\n            return not self._failing\n",
        new="",
        tests=f"{GUARD} tests/test_outage.py",
    ),
    Mutant(
        rule="debts are paid in the background",
        file="stores/guard.py",
        old="                self._sender.start()\n",
        new="",
        tests=GUARD,
    ),
    Mutant(
        rule="a debt is settled only when it was sent",
        file="stores/guard.py",
        old="                self.store.done(tags, writer)\n                with self._debts_lock:\n"
        "                    _remove(self._under_way",
        new="                with self._debts_lock:\n                    _remove(self._under_way",
        tests=GUARD,
    ),
    Mutant(
        rule="a debt that could not be paid stays",
        file="stores/guard.py",
        old="                    for tag, writers in self._under_way.items():\n"
        "                        self._unsent.setdefault(tag, set()).update(writers)\n"
        "                    self._under_way = {}",
        new="                    self._under_way = {}",
        tests=GUARD,
    ),
    Mutant(
        rule="a write is announced during a pause too",
        file="stores/guard.py",
        old="        try:\n            self._mark(tags, writer, seconds, held)",
        new="        try:\n            if self._failing:\n                raise OSError\n"
        "            self._mark(tags, writer, seconds, held)",
        tests=GUARD,
    ),
    Mutant(
        rule="a store that fails is left alone for a while",
        file="stores/guard.py",
        old="            if now < self._paused_until:\n                return False\n",
        new="",
        tests=GUARD,
    ),
    Mutant(
        rule="a read never fails with the store",
        file="stores/guard.py",
        old="            self._failed(error)\n            return nothing\n",
        new="            raise\n",
        tests=GUARD,
    ),
    Mutant(
        rule="a forked child has its parent's debts",
        file="stores/guard.py",
        old="                self._unsent.setdefault(tag, set()).update(writers)\n        self._kept,",
        new="                pass\n        self._kept,",
        tests=GUARD,
    ),
    Mutant(
        rule="a closed store's debts are its heir's",
        file="stores/aliases.py",
        old="        if store.unsent:\n",
        new="        if False:\n",
        tests="tests/stores/test_aliases.py tests/regressions/test_django_suite.py",
    ),
    Mutant(
        rule="a cache that hides its errors is refused",
        file="stores/aliases.py",
        old='if getattr(cache, "_ignore_exceptions", False) or options.get("ignore_exc"):',
        new="if False:",
        tests="tests/stores/test_aliases.py",
    ),
    Mutant(
        rule="a store that nobody holds closes its connections",
        file="stores/redis.py",
        old="        weakref.finalize(self, _disconnect, pool)\n",
        new="",
        tests="tests/stores/test_redis.py",
    ),
    Mutant(
        rule="a store is part of no cycle",
        file="stores/redis.py",
        old="partial(type(self)._meet, weakref.proxy(self))",
        new="self._meet",
        tests="tests/stores/test_redis.py",
    ),
    Mutant(
        rule="who asks a closed store leaves no connection open",
        file="stores/redis.py",
        old="            if self._is_closed:\n",
        new="            if False:\n",
        tests="tests/stores/test_redis.py",
    ),
    Mutant(
        rule="a closed store closes its connections to the sentinels",
        file="stores/redis.py",
        old="        sentinel.connection_pool.disconnect(inuse_connections=False)\n",
        new="        pass\n",
        tests="tests/stores/test_aliases.py",
    ),
]
