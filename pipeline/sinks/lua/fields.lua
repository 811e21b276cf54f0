-- Keep the fields of a hash if they are newer than those held.
--
-- KEYS  the key
-- ARGV  timestamp, sequence, milliseconds to live, then field, value, field, value ...
-- Returns 1 if they were newer, else 0; and 0 published.

local held = redis.pcall('HMGET', KEYS[1], 'timestamp', 'sequence')
local timestamp, sequence = place(held[1], held[2])
if not later(tonumber(ARGV[1]), tonumber(ARGV[2]), timestamp, sequence) then
  return {0, 0}
end
-- Fields that have no value any more must go, and so must a key of another type.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, 0}
