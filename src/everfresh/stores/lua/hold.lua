-- Make tags pending for a writer that does not move them: they stand for other tags, which are not marked.
-- KEYS: for each tag: pending record, version    ARGV: writer, milliseconds
-- As mark.lua, but the marker keeps the version behind the word, for lift.lua to give back. It keeps it only as long as
-- everybody at the tag holds it and none of them ended by time: mark.lua, an eviction and a dead writer make it lost, and
-- the tag then moves.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, #KEYS, 2 do
  local pending, name = KEYS[at], KEYS[at + 1]
  local held = redis.pcall('GET', name)
  if type(held) ~= 'string' then
    held = ''
  end
  local is_pending = string.sub(held, 1, 7) == 'pending'
  local kind = redis.call('TYPE', pending).ok
  if kind == 'none' and not is_pending then
    redis.call('SET', pending, ARGV[1], 'PX', ARGV[2])
    redis.call('SET', name, 'pending' .. (#held == 8 and held or ''), 'PX', ARGV[2])
  else
    if kind == 'string' then
      local writer, left = redis.call('GET', pending), redis.call('PTTL', pending)
      redis.call('DEL', pending)
      redis.call('ZADD', pending, now + left, writer)
    elseif kind == 'none' then
      redis.call('ZADD', pending, now + redis.call('PTTL', name), '?')
    end
    local died = redis.call('ZREMRANGEBYSCORE', pending, '-inf', now) > 0
    if died or not is_pending or kind == 'none' then
      held = 'pending'
    end
    redis.call('ZADD', pending, now + ARGV[2], ARGV[1])
    local last = redis.call('ZREVRANGE', pending, 0, 0, 'WITHSCORES')[2]
    redis.call('PEXPIREAT', pending, last)
    redis.call('SET', name, held, 'PX', last - now)
  end
end
