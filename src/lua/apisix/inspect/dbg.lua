-- Drop-in for Apache APISIX's module of this name.
return require "resty.inspect.dbg"
