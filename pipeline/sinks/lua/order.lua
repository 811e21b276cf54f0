-- Put in front of every script. The order of updates is (timestamp, sequence), compared as numbers.

-- Unix seconds that no message reaches (the year 2100): what is later is none of the pipeline's times.
local NEVER = 4102444800

local function later(timestamp, sequence, held_timestamp, held_sequence)
  return timestamp > held_timestamp or (timestamp == held_timestamp and sequence > held_sequence)
end

-- A place in the order as numbers; what cannot be one comes before everything.
local function place(timestamp, sequence)
  timestamp = tonumber(timestamp) or -1
  if timestamp < NEVER then  -- which is not true of NaN either
    return timestamp, tonumber(sequence) or -1
  end
  return -1, -1
end

-- What a JSON text says of its place; anything unreadable comes before everything, too.
local function place_of(text)
  local read, content = pcall(cjson.decode, text)
  if not read or type(content) ~= 'table' then
    return -1, -1
  end
  return place(content.timestamp, content.sequence)
end

-- The place of the JSON that a key holds; a key of another type is as good as empty, SET replaces it.
local function held_place(key)
  local text = redis.pcall('GET', key)
  if type(text) ~= 'string' then
    return -1, -1
  end
  return place_of(text)
end
