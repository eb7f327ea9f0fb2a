-- A hooks file of hooks in table form: what to see, not how. See docs/logpoints.md.
local ljinspect = require "ljinspect"

-- Two of carol's carts, with the locals of price() and where it was called from, one a second. The line is passed a million
-- times a second, which takes more than 5 % of a core whatever is done there: hence no budget. It goes after two hits.
ljinspect.set_hook {
    file = "plain-lua/app.lua", line = 23,
    condition = "customer == 'carol' and due > 50",
    log = "{customer} pays {due} of {total} for {#cart} items",
    capture = { locals = true, stack = 3, depth = 2 },
    per_second = 1, hits = 2, budget = 0,
}

-- How often batch() ends, and with which sum: a line every half second.
ljinspect.set_hook {
    file = "plain-lua/app.lua", line = 32,
    histogram = "sum", interval = 0.5,
    tag = "batches",
}
