-- One step of a breaker. The same machine in Rust, with comments, is in machine.rs, rules.rs, window.rs and state.rs;
-- functions have the same names there.
--
-- KEYS: the breaker. ARGV: see BreakerStep::arguments.
-- Returns the status, the generation, how long the status lasts, and the transition.

local arguments = {}
for at = 1, #ARGV do arguments[at] = tonumber(ARGV[at]) end
local kind, instance, jitter, generation, total, failed, slow, token, force_ttl,
  min_calls, ratio_percent, quorum, open_min, open_max, lease_time = unpack(arguments)

local VERSION, HEAD, SECONDS, MAX_FAILING = 1, 8, 10, 8
local FIXED = HEAD + 3 * SECONDS
local MAX_LENGTH, MAX_WHOLE, MAX, MAX_COUNT, MAX_STREAK = 1024, 9007199254740991, 4503599627370496, 1000000000, 16
local SECOND = 1000000
local WINDOW, SLACK, FORCED, MAX_JITTER = SECONDS * SECOND, SECONDS * SECOND, 604800 * SECOND, 1000
-- Kinds of steps (all others only check), states, statuses, transitions.
local ACQUIRE, REPORT, FORCE_OPEN, FORCE_CLOSED, RESET = 1, 2, 3, 4, 5
local CLOSED, OPEN, FORCED_OPEN, FORCED_CLOSED = 0, 1, 2, 3
local PROBE_FREE, PROBE_TAKEN, PROBE_YOURS = 2, 3, 4
local NOTHING, CHANGED, OPENED, REOPENED, RECOVERED = nil, 0, 1, 2, 3

local function new_record(fields)
  local record = {
    state = CLOSED, generation = 0, streak = 0, at = 0, token = 0, until_ = 0,
    -- The buckets in a row, each as total, failed and slow; the failing instances, each with its last second.
    newest = 0, buckets = {}, failing = {},
  }
  for at = 1, 3 * SECONDS do record.buckets[at] = 0 end
  for name, value in pairs(fields) do record[name] = value end
  return record
end

-- ---- state.rs ----

local function read_numbers(text)
  if not text or #text > MAX_LENGTH or not string.find(text, '^[%d ]+$') then return nil end
  local numbers = {}
  for word in string.gmatch(text, '%d+') do
    local number = tonumber(word)
    if #word > 16 or number > MAX_WHOLE then return nil end
    numbers[#numbers + 1] = number
  end
  return numbers
end

local function read(text)
  local numbers = read_numbers(text)
  if not numbers or #numbers < FIXED or #numbers > FIXED + 2 * MAX_FAILING or #numbers % 2 ~= 0 then return nil end
  local version, state, generation, streak, at, token, until_, newest = unpack(numbers, 1, HEAD)
  if version ~= VERSION or state > FORCED_CLOSED or streak > MAX_STREAK then return nil end
  if math.max(generation, at, until_, newest) > MAX then return nil end
  local record = new_record({
    state = state, generation = generation, streak = streak, at = at, token = token, until_ = until_, newest = newest,
  })
  for place = 1, 3 * SECONDS do
    record.buckets[place] = numbers[HEAD + place]
    if record.buckets[place] > MAX_COUNT then return nil end
  end
  for place = FIXED + 1, #numbers, 2 do
    record.failing[#record.failing + 1] = { instance = numbers[place], second = numbers[place + 1] }
  end
  return record
end

local function print_record(record)
  local words = {}
  local function add(number) words[#words + 1] = string.format('%.0f', number) end
  add(VERSION) add(record.state) add(record.generation) add(record.streak)
  add(record.at) add(record.token) add(record.until_) add(record.newest)
  for at = 1, 3 * SECONDS do add(record.buckets[at]) end
  for _, one in ipairs(record.failing) do add(one.instance) add(one.second) end
  return table.concat(words, ' ')
end

-- ---- window.rs ----

local function advance(record, second)
  local passed = second - record.newest
  if passed < -SECONDS then
    local empty = new_record({})
    record.newest, record.buckets, record.failing = second, empty.buckets, empty.failing
  elseif passed > 0 then
    local shift = 3 * math.min(passed, SECONDS)
    for at = 3 * SECONDS, 1, -1 do record.buckets[at] = at > shift and record.buckets[at - shift] or 0 end
    record.newest = second
  end
end

local function count(record, second)
  advance(record, second)
  for at, calls in ipairs({ total, failed, slow }) do
    record.buckets[at] = math.min(record.buckets[at] + calls, MAX_COUNT)
  end
  if failed + slow > 0 then
    local failing = { { instance = instance, second = record.newest } }
    for _, one in ipairs(record.failing) do
      local keep = one.instance ~= instance and record.newest - one.second < SECONDS
      if keep and #failing < MAX_FAILING then failing[#failing + 1] = one end
    end
    record.failing = failing
  end
end

-- ---- rules.rs ----

local function should_trip(record)
  local all, bad, instances = 0, 0, 0
  for at = 1, 3 * SECONDS, 3 do
    all = all + record.buckets[at]
    bad = bad + record.buckets[at + 1] + record.buckets[at + 2]
  end
  for _, one in ipairs(record.failing) do
    if record.newest - one.second < SECONDS then instances = instances + 1 end
  end
  return all >= min_calls and bad * 100 >= ratio_percent * all and instances >= quorum
end

-- ---- machine.rs ----

local function is_ahead(moment, longest)
  return moment > now and moment - now <= longest + SLACK
end

local function is_half_open(record)
  return record.state == OPEN and not is_ahead(record.at, open_max + math.floor(open_max / 5))
end

local function is_leased(record)
  return record.token ~= 0 and is_ahead(record.until_, lease_time)
end

local function remembers_opening(record)
  return record.streak > 0 and is_ahead(record.at + open_max, open_max)
end

local function is_probe(record)
  return record.state == OPEN and token ~= 0 and token == record.token and generation == record.generation
end

-- The functions from here on return the record, which may be a new one, and the effect.

local function open(record)
  local time = math.min(open_min * 2 ^ record.streak, open_max)
  return new_record({
    state = OPEN,
    generation = record.generation + 1,
    streak = math.min(record.streak + 1, MAX_STREAK),
    at = now + time + math.floor(time * jitter / (5 * MAX_JITTER)),
  })
end

local function count_calls(record)
  if record.state ~= CLOSED or total == 0 or generation ~= record.generation then return record, NOTHING end
  count(record, math.floor(now / SECOND))
  if not should_trip(record) then return record, CHANGED end
  if not remembers_opening(record) then record.streak = 0 end
  return open(record), OPENED
end

local function take_lease(record)
  if is_leased(record) then return record, NOTHING end
  record.token, record.until_ = token, now + lease_time
  return record, CHANGED
end

local function end_probe(record)
  if failed + slow > 0 then return open(record), REOPENED end
  if total == 0 then
    record.token, record.until_ = 0, 0
    return record, CHANGED
  end
  return new_record({ generation = record.generation + 1, streak = record.streak, at = now }), RECOVERED
end

local function force(record, state, at)
  return new_record({ state = state, generation = record.generation + 1, at = at }), CHANGED
end

local function step(record)
  if (record.state == FORCED_OPEN or record.state == FORCED_CLOSED) and not is_ahead(record.at, FORCED) then
    record = new_record({ generation = record.generation })
  end
  if kind == FORCE_OPEN then return force(record, FORCED_OPEN, now + force_ttl) end
  if kind == FORCE_CLOSED then return force(record, FORCED_CLOSED, now + force_ttl) end
  if kind == RESET then return force(record, CLOSED, now) end
  if kind == ACQUIRE and is_half_open(record) then return take_lease(record) end
  if kind == REPORT and is_probe(record) then return end_probe(record) end
  return count_calls(record)
end

local function status(record)
  if record.state == CLOSED or record.state == FORCED_CLOSED then return CLOSED, 0 end
  if record.state == FORCED_OPEN or not is_half_open(record) then return OPEN, record.at - now end
  if not is_leased(record) then return PROBE_FREE, 0 end
  return record.token == token and PROBE_YOURS or PROBE_TAKEN, record.until_ - now
end

local function ttl(record)
  if record.state == CLOSED then
    return remembers_opening(record) and math.max(WINDOW, record.at + open_max - now) or WINDOW
  end
  if record.state ~= OPEN then return record.at - now end
  local open_time = is_half_open(record) and 0 or record.at - now
  return open_time + WINDOW + open_max + lease_time
end

local record, effect = step(read(redis.call('GET', KEYS[1])) or new_record({}))
if effect ~= NOTHING then
  local milliseconds = math.ceil(ttl(record) / 1000)
  redis.call('SET', KEYS[1], print_record(record), 'PX', string.format('%.0f', milliseconds))
end
local reply, wait = status(record)
return { reply, record.generation, wait, effect or 0 }
