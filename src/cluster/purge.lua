-- Removes records that nobody needs any more, where they are still these, and tells all gateways how many are left.
-- KEYS: records, changes. ARGV: most changes kept; then field, record, …
local removed = 0
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    removed = removed + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
if removed > 0 then
  local last = redis.pcall('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
  local before = not last.err and last[1] and last[1][1] or '0-0'
  redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*',
    'after', before, 'records', redis.call('HLEN', KEYS[1]))
end
return removed
