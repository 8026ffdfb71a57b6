-- End a writer's mark on tags and drop their versions.
-- KEYS: for each tag: pending record, version    ARGV: writer
for at = 1, #KEYS, 2 do
  redis.call('ZREM', KEYS[at], ARGV[1])
  redis.call('UNLINK', KEYS[at + 1])
end
