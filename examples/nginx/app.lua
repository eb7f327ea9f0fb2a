-- What parcels cost. Somebody complains that a parcel of 12 kg to the US costs 25.50 instead of 15.10.
local _M = {}

local rates = {EU = 4.90, US = 9.50}

local function price(country, weight)
    local rate = rates[country] or 19.90
    local surcharge = math.max(0, weight - 5) * 0.80
    local total = rate + surcharge
    return string.format("%.2f", total)
end

function _M.handle()
    local args = ngx.req.get_uri_args()
    local answer = price(args.to or "EU", tonumber(args.kg) or 1)
    ngx.say(answer)
end

return _M
