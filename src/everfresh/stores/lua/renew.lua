-- Let an entry begin otherwise: it is the same answer, under later versions.
-- KEYS: entry    ARGV: what it is to begin with now, and what from now on, which is as long
-- Only the one that was read is: what another one stored meanwhile is not ours to change. SETRANGE leaves its end alone.
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) == ARGV[1] then
  redis.call('SETRANGE', KEYS[1], 0, ARGV[2])
end
