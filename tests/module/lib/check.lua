-- Checks for the module tests: each failure is printed with the line it is about; done() ends the program.
local M = { passed = 0, failed = 0 }

local function report(ok, text)
    if ok then
        M.passed = M.passed + 1
        return
    end
    M.failed = M.failed + 1
    local level = 3
    local info = debug.getinfo(level, "Sl")
    io.stderr:write(("%s:%d: FAILED: %s\n"):format(info.short_src, info.currentline, text))
end

local function show(v)
    return type(v) == "string" and ("%q"):format(v) or tostring(v)
end

function M.equal(got, expected, what)
    report(got == expected, (what and what .. ": " or "") .. "got " .. show(got) .. ", expected " .. show(expected))
end

function M.truthy(got, what)
    report(got, (what or "value") .. ": got " .. show(got))
end

function M.matches(text, pattern, what)
    report(type(text) == "string" and text:find(pattern) ~= nil,
        (what and what .. ": " or "") .. show(text) .. " does not match " .. show(pattern))
end

-- Run `step` until it returns true, for at most 10 seconds of wall-clock time.
function M.eventually(step, what)
    local deadline = os.time() + 10
    while os.time() <= deadline do
        if step() then return report(true) end
    end
    report(false, (what or "condition") .. ": not within 10 seconds")
end

function M.done()
    print(("%d passed, %d failed"):format(M.passed, M.failed))
    os.exit(M.failed == 0 and M.passed > 0 and 0 or 1, true)
end

return M
