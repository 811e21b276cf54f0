-- Add messages to a sorted set by timestamp, each once: of one key, two messages with the same timestamp
-- and the same sequence are the same message, even if their processing times differ.
--
-- KEYS  the key
-- ARGV  members kept, seconds to live (0: for ever), then for each: timestamp, sequence, message
-- Returns 0 and 0: histories are not counted.

local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' and kind ~= 'none' then
  redis.call('DEL', KEYS[1])
end

local known = {}
local function known_at(timestamp)
  if not known[timestamp] then
    local sequences = {}
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], timestamp, timestamp)) do
      local _, sequence = place_of(member)
      sequences[sequence] = true
    end
    known[timestamp] = sequences
  end
  return known[timestamp]
end

for i = 3, #ARGV, 3 do
  local sequences, sequence = known_at(ARGV[i]), tonumber(ARGV[i + 1])
  if not sequences[sequence] then
    redis.call('ZADD', KEYS[1], ARGV[i], ARGV[i + 2])
    sequences[sequence] = true
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], NEVER, '+inf')
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[1]))
if tonumber(ARGV[2]) > 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return {0, 0}
