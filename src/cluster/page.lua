-- A page of the records. What cannot be one stays where it is.
-- KEYS: records. ARGV: cursor, count, bytes of the longest field and record.
-- Gives { next cursor, how many were left out, { field, record, … } }.
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local field_max, record_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local kept, left_out = {}, 0
for i = 1, #page[2], 2 do
  if #page[2][i] <= field_max and #page[2][i + 1] <= record_max then
    kept[#kept + 1] = page[2][i]
    kept[#kept + 1] = page[2][i + 1]
  else
    left_out = left_out + 1
  end
end
return { page[1], left_out, kept }
