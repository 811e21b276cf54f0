-- Signals of one symbol, oldest first: keep the newest, publish each that is newer than all before it.
--
-- KEYS  the symbol's probability
-- ARGV  three channels, then for each signal: timestamp, sequence, milliseconds to live, JSON to keep,
--       the number of channels it goes to (0: too late), the message
-- Returns how many signals were newer, and how many of them were published.

local timestamp, sequence = held_place(KEYS[1])
local newer = {}
for i = 4, #ARGV, 6 do
  local its_timestamp, its_sequence = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if later(its_timestamp, its_sequence, timestamp, sequence) then
    timestamp, sequence = its_timestamp, its_sequence
    newer[#newer + 1] = i
  end
end

-- Kept before it is published: where memory is short SET fails, and the repeat must not publish twice.
local newest = newer[#newer]
if newest then
  redis.call('SET', KEYS[1], ARGV[newest + 3], 'PX', ARGV[newest + 2])
end

local published = 0
for _, i in ipairs(newer) do
  local channels = tonumber(ARGV[i + 4])
  for channel = 1, channels do
    local heard = redis.pcall('PUBLISH', ARGV[channel], ARGV[i + 5])
    if type(heard) == 'table' then  -- no right to the channel: the repeat has to publish it
      redis.call('DEL', KEYS[1])
      return heard
    end
  end
  if channels > 0 then
    published = published + 1
  end
end
return {#newer, published}
