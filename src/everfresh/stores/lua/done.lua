-- End a writer's mark on tags and drop their versions.
-- KEYS: for each tag: pending record, version    ARGV: writer
local records = {}
for at = 1, #KEYS, 2 do
  records[#records + 1] = KEYS[at]
end
local alone = true
for _, writer in ipairs(redis.call('MGET', unpack(records))) do
  if writer ~= ARGV[1] then
    alone = false
    break
  end
end
if alone then
  redis.call('UNLINK', unpack(KEYS))
  return
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 1, #KEYS, 2 do
  local pending, name = KEYS[at], KEYS[at + 1]
  local kind = redis.call('TYPE', pending).ok
  local known, last = false, false
  if kind == 'string' then
    known = redis.call('GET', pending) == ARGV[1]
    if known then
      redis.call('UNLINK', pending)
    else
      last = now + redis.call('PTTL', pending)
    end
  elseif kind == 'zset' then
    known = redis.call('ZREM', pending, ARGV[1]) == 1
    last = redis.call('ZREVRANGE', pending, 0, 0, 'WITHSCORES')[2]
  end
  local others = last and tonumber(last) > now
  if redis.pcall('GET', name) ~= 'pending' or (known and not others) then
    redis.call('UNLINK', name)
  elseif others then
    redis.call('PEXPIREAT', name, last)
  end
  -- Else the record was evicted, and nobody knows for whom else the marker stands: it ends at its deadline.
end
