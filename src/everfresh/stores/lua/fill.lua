-- Store an entry and give the lease back.
-- KEYS: entry, lease    ARGV: lease token, lifetime ms, the bytes
-- Stored even when the lease was lost in the meantime: the versions inside the entry judge it, not the lease.
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
