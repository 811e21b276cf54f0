-- Keep a JSON if it is newer than the one held.
--
-- KEYS  the key
-- ARGV  timestamp, sequence, milliseconds to live, JSON
-- Returns 1 if it was newer, else 0; and 0 published.

local timestamp, sequence = held_place(KEYS[1])
if not later(tonumber(ARGV[1]), tonumber(ARGV[2]), timestamp, sequence) then
  return {0, 0}
end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[3])
return {1, 0}
