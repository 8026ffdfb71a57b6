-- How long entries will be there.
-- KEYS: entries    Returns: milliseconds for each, below 0 for one that is gone
local answer = {}
for at = 1, #KEYS do
  answer[at] = redis.call('PTTL', KEYS[at])
end
return answer
