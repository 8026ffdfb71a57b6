-- Make tags pending for a writer.
-- KEYS: for each tag: pending record, version    ARGV: writer, milliseconds
-- A pending record names the writers. One alone is a string that lives as long as the mark; several are a sorted set scored
-- by deadline, so that marks of overlapping writers count, and the mark of a writer that died ends by itself even while
-- others keep marking.
-- A marker in the version's place says the same in fewer words, until the last deadline: the server may evict either of the
-- two, and the other one still keeps readers from storing what they read before the commit.
-- The marker is plain: what a hold has kept there (hold.lua) is lost, for this writer moves the tag.
local records, places = {}, {}
for at = 1, #KEYS, 2 do
  records[#records + 1] = KEYS[at]
  places[#places + 1] = KEYS[at + 1]
end
-- Mostly nobody else is at any of them, and then a tag costs two commands.
local alone = redis.call('EXISTS', unpack(records)) == 0
if alone then
  for _, held in ipairs(redis.call('MGET', unpack(places))) do
    if held and string.sub(held, 1, 7) == 'pending' then
      alone = false
      break
    end
  end
end
if alone then
  for at = 1, #records do
    redis.call('SET', records[at], ARGV[1], 'PX', ARGV[2])
    redis.call('SET', places[at], 'pending', 'PX', ARGV[2])
  end
  return
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, #records do
  local pending, name = records[at], places[at]
  if redis.call('TYPE', pending).ok == 'string' then
    local writer, left = redis.call('GET', pending), redis.call('PTTL', pending)
    redis.call('DEL', pending)
    redis.call('ZADD', pending, now + left, writer)
  end
  redis.call('ZREMRANGEBYSCORE', pending, '-inf', now)
  local held = redis.pcall('GET', name)
  if type(held) == 'string' and string.sub(held, 1, 7) == 'pending' and redis.call('EXISTS', pending) == 0 then
    -- The record was evicted. Whom it named is unknown, so a stand-in, whom nobody will call done, takes their deadline.
    redis.call('ZADD', pending, now + redis.call('PTTL', name), '?')
  end
  redis.call('ZADD', pending, now + ARGV[2], ARGV[1])
  -- The record outlives its last deadline by nothing: other writers may have promised to be later than this one.
  local last = redis.call('ZREVRANGE', pending, 0, 0, 'WITHSCORES')[2]
  redis.call('PEXPIREAT', pending, last)
  redis.call('SET', name, 'pending', 'PX', last - now)
end
