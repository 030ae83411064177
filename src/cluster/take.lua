-- Takes some of a rate, by the generic cell rate algorithm (ITU-T I.371 Annex A), in microseconds of Redis' clock.
-- KEYS: when the next occurrence would be due. ARGV: occurrences a minute, how many are wanted.
-- Gives { how many are granted, microseconds to stay away where none is }.
local minute = 60000000
local interval = minute / tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local kept = redis.pcall('GET', KEYS[1])
local due = type(kept) == 'string' and tonumber(kept) or now
-- Whatever else is there counts as nothing, or as no more than a minute's worth.
if due ~= due or due < now then due = now end
if due > now + minute then due = now + minute end
local granted = math.min(math.floor((now + minute - due) / interval + 0.001), tonumber(ARGV[2]))
if granted < 1 then
  return { 0, math.ceil(due + interval - minute - now) }
end
due = due + granted * interval
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000))
return { granted, 0 }
