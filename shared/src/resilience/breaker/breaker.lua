-- One step of a breaker. The same machine in Rust is machine.rs, window.rs and state.rs, where the comments are; the
-- functions here have the names of those there.
--
-- KEYS: the breaker. ARGV: see BreakerStep::arguments.
-- Returns where the breaker stands, its generation, how long that holds, and the transition.

local arguments = {}
for at = 1, #ARGV do arguments[at] = tonumber(ARGV[at]) end
local call, instance, jitter, generation, total, failed, slow, token, force_life,
  min_calls, ratio_percent, quorum, open_min, open_max, lease_time = unpack(arguments)

local VERSION, HEAD, SECONDS, FAILING = 1, 8, 10, 8
local FIXED = HEAD + 3 * SECONDS
local MAX_LENGTH, MAX_WHOLE, MAX, MAX_COUNT, MAX_STREAK = 1024, 9007199254740991, 4503599627370496, 1000000000, 16
local SECOND = 1000000
local WINDOW, SLACK, FORCED, MAX_JITTER = SECONDS * SECOND, SECONDS * SECOND, 604800 * SECOND, 1000
-- Calls (all others only look), phases, standings, transitions.
local ACQUIRE, REPORT, FORCE_OPEN, FORCE_CLOSED, RESET = 1, 2, 3, 4, 5
local CLOSED, OPEN, FORCED_OPEN, FORCED_CLOSED = 0, 1, 2, 3
local PROBE_FREE, PROBE_TAKEN, PROBE_YOURS = 2, 3, 4
local NOTHING, CHANGED, OPENED, REOPENED, RECOVERED = nil, 0, 1, 2, 3

local function new_state(fields)
  local state = {
    phase = CLOSED, generation = 0, streak = 0, at = 0, token = 0, until_ = 0,
    -- The buckets one after the other, total, failed and slow of each; the instances with the second of each.
    newest = 0, buckets = {}, failing = {},
  }
  for at = 1, 3 * SECONDS do state.buckets[at] = 0 end
  for name, value in pairs(fields) do state[name] = value end
  return state
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
  if not numbers or #numbers < FIXED or #numbers > FIXED + 2 * FAILING or #numbers % 2 ~= 0 then return nil end
  local version, phase, generation, streak, at, token, until_, newest = unpack(numbers, 1, HEAD)
  if version ~= VERSION or phase > FORCED_CLOSED or streak > MAX_STREAK then return nil end
  if math.max(generation, at, until_, newest) > MAX then return nil end
  local state = new_state({
    phase = phase, generation = generation, streak = streak, at = at, token = token, until_ = until_, newest = newest,
  })
  for place = 1, 3 * SECONDS do
    state.buckets[place] = numbers[HEAD + place]
    if state.buckets[place] > MAX_COUNT then return nil end
  end
  for place = FIXED + 1, #numbers, 2 do
    state.failing[#state.failing + 1] = { instance = numbers[place], second = numbers[place + 1] }
  end
  return state
end

local function print_state(state)
  local words = {}
  local function add(number) words[#words + 1] = string.format('%.0f', number) end
  add(VERSION) add(state.phase) add(state.generation) add(state.streak)
  add(state.at) add(state.token) add(state.until_) add(state.newest)
  for at = 1, 3 * SECONDS do add(state.buckets[at]) end
  for _, one in ipairs(state.failing) do add(one.instance) add(one.second) end
  return table.concat(words, ' ')
end

-- ---- window.rs ----

local function advance(state, second)
  local passed = second - state.newest
  if passed < -SECONDS then
    local empty = new_state({})
    state.newest, state.buckets, state.failing = second, empty.buckets, empty.failing
  elseif passed > 0 then
    local shift = 3 * math.min(passed, SECONDS)
    for at = 3 * SECONDS, 1, -1 do state.buckets[at] = at > shift and state.buckets[at - shift] or 0 end
    state.newest = second
  end
end

local function count(state, second)
  advance(state, second)
  for at, calls in ipairs({ total, failed, slow }) do
    state.buckets[at] = math.min(state.buckets[at] + calls, MAX_COUNT)
  end
  if failed + slow > 0 then
    local failing = { { instance = instance, second = state.newest } }
    for _, one in ipairs(state.failing) do
      local keep = one.instance ~= instance and state.newest - one.second < SECONDS
      if keep and #failing < FAILING then failing[#failing + 1] = one end
    end
    state.failing = failing
  end
end

local function is_sick(state)
  local all, bad, instances = 0, 0, 0
  for at = 1, 3 * SECONDS, 3 do
    all = all + state.buckets[at]
    bad = bad + state.buckets[at + 1] + state.buckets[at + 2]
  end
  for _, one in ipairs(state.failing) do
    if state.newest - one.second < SECONDS then instances = instances + 1 end
  end
  return all >= min_calls and bad * 100 >= ratio_percent * all and instances >= quorum
end

-- ---- machine.rs ----

local function is_ahead(moment, longest)
  return moment > now and moment - now <= longest + SLACK
end

local function is_half_open(state)
  return state.phase == OPEN and not is_ahead(state.at, open_max + math.floor(open_max / 5))
end

local function is_leased(state)
  return state.token ~= 0 and is_ahead(state.until_, lease_time)
end

local function remembers_opening(state)
  return state.streak > 0 and is_ahead(state.at + open_max, open_max)
end

local function is_probe(state)
  return state.phase == OPEN and token ~= 0 and token == state.token and generation == state.generation
end

-- The functions from here on return the state, which may be a new one, and what has come of it.

local function open(state)
  local time = math.min(open_min * 2 ^ state.streak, open_max)
  return new_state({
    phase = OPEN,
    generation = state.generation + 1,
    streak = math.min(state.streak + 1, MAX_STREAK),
    at = now + time + math.floor(time * jitter / (5 * MAX_JITTER)),
  })
end

local function absorb(state)
  if state.phase ~= CLOSED or total == 0 or generation ~= state.generation then return state, NOTHING end
  count(state, math.floor(now / SECOND))
  if not is_sick(state) then return state, CHANGED end
  if not remembers_opening(state) then state.streak = 0 end
  return open(state), OPENED
end

local function take_lease(state)
  if is_leased(state) then return state, NOTHING end
  state.token, state.until_ = token, now + lease_time
  return state, CHANGED
end

local function settle(state)
  if failed + slow > 0 then return open(state), REOPENED end
  if total == 0 then
    state.token, state.until_ = 0, 0
    return state, CHANGED
  end
  return new_state({ generation = state.generation + 1, streak = state.streak, at = now }), RECOVERED
end

local function force(state, phase, at)
  return new_state({ phase = phase, generation = state.generation + 1, at = at }), CHANGED
end

local function step(state)
  if (state.phase == FORCED_OPEN or state.phase == FORCED_CLOSED) and not is_ahead(state.at, FORCED) then
    state = new_state({ generation = state.generation })
  end
  if call == FORCE_OPEN then return force(state, FORCED_OPEN, now + force_life) end
  if call == FORCE_CLOSED then return force(state, FORCED_CLOSED, now + force_life) end
  if call == RESET then return force(state, CLOSED, now) end
  if call == ACQUIRE and is_half_open(state) then return take_lease(state) end
  if call == REPORT and is_probe(state) then return settle(state) end
  return absorb(state)
end

local function standing(state)
  if state.phase == CLOSED or state.phase == FORCED_CLOSED then return CLOSED, 0 end
  if state.phase == FORCED_OPEN or not is_half_open(state) then return OPEN, state.at - now end
  if not is_leased(state) then return PROBE_FREE, 0 end
  return state.token == token and PROBE_YOURS or PROBE_TAKEN, state.until_ - now
end

local function life(state)
  if state.phase == CLOSED then
    return remembers_opening(state) and math.max(WINDOW, state.at + open_max - now) or WINDOW
  end
  if state.phase ~= OPEN then return state.at - now end
  local open_time = is_half_open(state) and 0 or state.at - now
  return open_time + WINDOW + open_max + lease_time
end

local state, effect = step(read(redis.call('GET', KEYS[1])) or new_state({}))
if effect ~= NOTHING then
  local milliseconds = math.ceil(life(state) / 1000)
  redis.call('SET', KEYS[1], print_state(state), 'PX', string.format('%.0f', milliseconds))
end
local stands, wait = standing(state)
return { stands, state.generation, wait, effect or 0 }
