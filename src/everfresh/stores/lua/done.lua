-- End a writer's mark on tags and drop their versions.
-- KEYS: for each tag: pending record, version    ARGV: writer
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, #KEYS, 2 do
  local pending, name = KEYS[at], KEYS[at + 1]
  local known = redis.call('ZREM', pending, ARGV[1]) == 1
  local last = redis.call('ZREVRANGE', pending, 0, 0, 'WITHSCORES')[2]
  local others = last and tonumber(last) > now
  if redis.pcall('GET', name) ~= 'pending' or (known and not others) then
    redis.call('UNLINK', name)
  elseif others then
    redis.call('PEXPIREAT', name, last)
  end
  -- Else the record was evicted, and nobody knows for whom else the marker stands: it ends at its deadline.
end
