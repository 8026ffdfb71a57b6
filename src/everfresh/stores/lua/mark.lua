-- Make tags pending for a writer.
-- KEYS: for each tag: pending record, version    ARGV: writer, milliseconds
-- A pending record is a sorted set of writers scored by deadline, so that marks of overlapping writers count, and the mark
-- of a writer that died ends by itself even while others keep marking.
-- A marker in the version's place says the same in fewer words, until the last deadline: the server may evict either of the
-- two, and the other one still keeps readers from storing what they read before the commit.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, #KEYS, 2 do
  local pending, name = KEYS[at], KEYS[at + 1]
  redis.call('ZREMRANGEBYSCORE', pending, '-inf', now)
  if redis.pcall('GET', name) == 'pending' and redis.call('EXISTS', pending) == 0 then
    -- The record was evicted. Whom it named is unknown, so a stand-in, whom nobody will call done, takes their deadline.
    redis.call('ZADD', pending, now + redis.call('PTTL', name), '?')
  end
  redis.call('ZADD', pending, now + ARGV[2], ARGV[1])
  -- The record outlives its last deadline by nothing: other writers may have promised to be later than this one.
  local last = redis.call('ZREVRANGE', pending, 0, 0, 'WITHSCORES')[2]
  redis.call('PEXPIREAT', pending, last)
  redis.call('SET', name, 'pending', 'PX', last - now)
end
