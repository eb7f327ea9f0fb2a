-- Text that a program could have made up, and whether it was made harmless. Said otherwise than in the library: by lists of bytes.
local M = {}

-- A line of its own, commands to a terminal in one byte, in two and in UTF-8, ends of lines and paragraphs, text that runs
-- backwards, what is no UTF-8; and a word to look for. No NUL: names end there.
M.hostile = "H\n2026-01-31 forged\r\27[31m\27]0;title\7\155 31m\194\155 31m\8\127 \226\128\168\226\128\169 \226\128\174edih" ..
    "\226\128\170 \226\129\167\226\129\169 \216\156 \226\128\143 \255\254 \192\175 \237\160\128 \226\130 T"

-- The same in an identifier: LuaJIT takes all bytes from 128 on.
M.identifier = "n\155\194\155\226\128\174\226\129\167\255x"

local bad = {
    { "[%z\1-\8\11-\31\127]", "a control character" }, { "\194[\128-\159]", "a control character in UTF-8" },
    { "\226\128[\168\169]", "the end of a line or paragraph" }, { "\226\128[\142\143\170-\174]", "a change of direction" },
    { "\226\129[\166-\169]", "a change of direction" }, { "\216\156", "a change of direction" },
}

-- nil, or what is wrong with the text. Lines may end, and have tabs.
function M.wrong(text)
    for _, b in ipairs(bad) do
        local at = text:find(b[1])
        if at then return ("%s at byte %d: %q"):format(b[2], at, text:sub(math.max(1, at - 60), at + 20)) end
    end
    local rest = text:gsub("[\194-\223][\128-\191]", ""):gsub("[\224-\239][\128-\191][\128-\191]", "")
        :gsub("[\240-\244][\128-\191][\128-\191][\128-\191]", "")
    local at = rest:find("[\128-\255]")
    if at then return ("no UTF-8: %q"):format(rest:sub(math.max(1, at - 60), at + 20)) end
    if text:find("\n2026-01-31 forged", 1, true) then return "a line that the program made up" end
end

return M
