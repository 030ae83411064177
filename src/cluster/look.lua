-- Where the list of revocations stands: the last change, and how many records there are.
-- KEYS: records, changes. Gives { last change, or '' where the key is something else's, records }.
local last = redis.pcall('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local records = redis.call('HLEN', KEYS[1])
if last.err then return { '', records } end
return { last[1] and last[1][1] or '0-0', records }
