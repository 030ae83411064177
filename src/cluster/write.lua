-- Writes records, unless there are later ones, and tells all gateways of each.
-- KEYS: records, changes. ARGV: most changes kept, most records, bytes of the longest record; then field, record, …
-- Gives for each: 1 where it was written, 0 where there is no room, or the record that counts instead.
local changes_max, records_max, record_max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- The moment of a record, and whether it denies. Of one moment, that one counts.
local function rank(record)
  if not record or #record > record_max then return nil end
  local at, mark = string.match(record, '^(%d+) ([+-])')
  at = tonumber(at)
  if not at or at >= 9007199254740992 then return nil end
  return at, mark == '+'
end

local outcomes = {}
for i = 4, #ARGV, 2 do
  local field, record = ARGV[i], ARGV[i + 1]
  local known = redis.call('HGET', KEYS[1], field)
  local at, denies = rank(record)
  local known_at, known_denies = rank(known)
  if known_at and (known_at > at or (known_at == at and (known_denies or not denies))) then
    outcomes[#outcomes + 1] = known
  elseif not known and redis.call('HLEN', KEYS[1]) >= records_max then
    outcomes[#outcomes + 1] = 0
  else
    redis.call('HSET', KEYS[1], field, record)
    local last = redis.pcall('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
    local before = not last.err and last[1] and last[1][1] or '0-0'
    redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', changes_max, '*',
      'after', before, 'records', redis.call('HLEN', KEYS[1]), 'field', field, 'record', record)
    outcomes[#outcomes + 1] = 1
  end
end
return outcomes
