-- Put in front of every script. The order of updates is (timestamp, sequence), compared as numbers.

local function later(timestamp, sequence, held_timestamp, held_sequence)
  return timestamp > held_timestamp or (timestamp == held_timestamp and sequence > held_sequence)
end

-- What a JSON text says of its place in the order; anything unreadable comes before everything.
local function place(text)
  local read, content = pcall(cjson.decode, text)
  if not read or type(content) ~= 'table' then
    return -1, -1
  end
  return tonumber(content.timestamp) or -1, tonumber(content.sequence) or -1
end

-- The place of the JSON that a key holds; a key of another type is as good as empty, SET replaces it.
local function held_place(key)
  local text = redis.pcall('GET', key)
  if type(text) ~= 'string' then
    return -1, -1
  end
  return place(text)
end
