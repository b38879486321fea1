-- What one run of wrk sends: wrk -s load.lua URL -- KIND ...
--
--   hot COUNT           GET of one of COUNT sensors, the requests made beforehand, so that making them costs nothing
--   get COUNT           GET of one of COUNT sensors, any number of them
--   patch COUNT SEED    PATCH of one of COUNT sensors with a value that was never there; SEED differs from run to run
--   same PATH [ETAG]    GET of one path, with If-None-Match when there is a tag
--
-- Ends with one line for a program: RESULT requests duration_us p50_us p99_us failed

local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

-- As `sensor_id` in fill.rs.
local function path(n)
    return string.format("/sensors/01a20000-0000-7000-8000-%012x", n)
end

local kinds = {}

function kinds.hot(count)
    local requests = {}
    for n = 0, count - 1 do
        requests[n] = wrk.format("GET", path(n))
    end
    return function()
        return requests[math.random(0, count - 1)]
    end
end

function kinds.get(count)
    return function()
        return wrk.format("GET", path(math.random(0, count - 1)))
    end
end

function kinds.patch(count, seed)
    local headers = { ["Content-Type"] = "application/merge-patch+json" }
    local value = (seed * 64 + number) * 1e8
    return function()
        value = value + 1
        local body = string.format('{"value":%d.5}', value)
        return wrk.format("PATCH", path(math.random(0, count - 1)), headers, body)
    end
end

function kinds.same(_, _, where, tag)
    local fixed = wrk.format("GET", where, { ["If-None-Match"] = tag })
    return function()
        return fixed
    end
end

function init(arguments)
    math.randomseed(number + 1)
    request = kinds[arguments[1]](tonumber(arguments[2]), tonumber(arguments[3]), arguments[2], arguments[3])
end

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99), failed))
end
