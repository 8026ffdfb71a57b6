-- Make tags pending for a writer.
-- KEYS: for each tag: pending record, version    ARGV: writer, milliseconds
-- A pending record is a sorted set of writers scored by deadline, so that marks of overlapping writers count, and the mark
-- of a writer that died ends by itself even while others keep marking.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, #KEYS, 2 do
  local pending = KEYS[at]
  redis.call('ZREMRANGEBYSCORE', pending, '-inf', now)
  redis.call('ZADD', pending, now + ARGV[2], ARGV[1])
  -- The record outlives its last deadline by nothing: other writers may have promised to be later than this one.
  redis.call('PEXPIREAT', pending, redis.call('ZREVRANGE', pending, 0, 0, 'WITHSCORES')[2])
  redis.call('UNLINK', KEYS[at + 1])
end
