-- Get or create the versions of tags, except of pending ones, and take the lease on a key.
-- KEYS: lease, then for each tag: pending record, version
-- ARGV: lease token ('' = take none), lease ms, lifetime ms of a version, then one candidate for each tag
--       (the caller's, because a script has no good randomness)
-- Returns: 1 or 0 for the lease, then a version or nil for each tag
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lifetime = tonumber(ARGV[3])
local answer = { 0 }
if ARGV[1] ~= '' and redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  answer[1] = 1
end
for at = 2, #KEYS, 2 do
  local pending, name = KEYS[at], KEYS[at + 1]
  -- The lack of a version says nothing: it can be evicted, or its marker can, while a writer is about to commit, and one
  -- created now would cover rows read before that commit. So can the pending record; hence both are asked, and one is
  -- enough. Writers that died are told by their deadline.
  local version = redis.pcall('GET', name)
  local writers = redis.pcall('ZCOUNT', pending, '(' .. now, '+inf')
  -- An error: the record is a string, of one writer whose deadline is the key's.
  if (type(version) == 'string' and string.sub(version, 1, 7) == 'pending') or type(writers) == 'table' or writers > 0 then
    answer[#answer + 1] = false
  else
    if type(version) ~= 'string' or #version ~= 8 then
      version = ARGV[3 + at / 2]
      redis.call('SET', name, version, 'PX', lifetime)
    elseif redis.call('PTTL', name) < lifetime / 2 then
      -- Renewed below half: a busy table's tags never expire under fresh entries, and most fills cost no write here.
      redis.call('PEXPIRE', name, lifetime)
    end
    answer[#answer + 1] = version
  end
end
return answer
