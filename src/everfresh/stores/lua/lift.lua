-- End a writer's hold: drop the versions of the tags it stood for, then give the held ones back.
-- KEYS: for each held tag: pending record, version; then the versions of the tags it stood for
-- ARGV: writer, number of held tags, lifetime ms of a version
-- In this order, and with nobody in between: once a held tag has its version again, entries are judged by the others.
local first = 2 * ARGV[2] + 1
if first <= #KEYS then
  local dropped = {}
  for at, held in ipairs(redis.call('MGET', unpack(KEYS, first))) do
    -- Somebody else's marker stays: that writer's commit is still to come.
    if held and string.sub(held, 1, 7) ~= 'pending' then
      dropped[#dropped + 1] = KEYS[first + at - 1]
    end
  end
  if #dropped > 0 then
    redis.call('UNLINK', unpack(dropped))
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, first - 1, 2 do
  local pending, name = KEYS[at], KEYS[at + 1]
  local held = redis.pcall('GET', name)
  local is_pending = type(held) == 'string' and string.sub(held, 1, 7) == 'pending'
  local kind = redis.call('TYPE', pending).ok
  local known, last, died = false, false, false
  if kind == 'string' then
    known = redis.call('GET', pending) == ARGV[1]
    if known then
      redis.call('UNLINK', pending)
    end
  elseif kind == 'zset' then
    known = redis.call('ZREM', pending, ARGV[1]) == 1
    last = redis.call('ZREVRANGE', pending, 0, 0, 'WITHSCORES')[2]
    died = redis.call('ZCOUNT', pending, '-inf', now) > 0
  end
  local others = last and tonumber(last) > now
  if not is_pending then
    redis.call('UNLINK', name)
  elseif others then
    redis.call('PEXPIREAT', name, last)
  elseif known then
    if #held == 15 and not died then
      redis.call('SET', name, string.sub(held, 8), 'PX', ARGV[3])
    else
      -- Who died with its hold had dropped nothing, perhaps after its COMMIT.
      redis.call('UNLINK', name)
    end
  end
  -- Else the record was evicted: the marker ends at its deadline.
end
