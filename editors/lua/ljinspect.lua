---@meta ljinspect
-- What lua-language-server is to know of `require "ljinspect"`. Never run: the module itself is the shared library.

---@class ljinspect
---@field _VERSION string the library's version, "MAJOR.MINOR.PATCH"
local ljinspect = {}

-- ---- What filters see ----

---The hooked function, as debug.getinfo(level, "nSlf") has it.
---@class ljinspect.finfo
---@field func function
---@field source string
---@field short_src string
---@field what "Lua"|"main"
---@field name? string nil where the call does not tell a name
---@field namewhat string
---@field linedefined integer
---@field lastlinedefined integer
---@field currentline integer the hook's line

---The arguments of a call that are not named by parameters.
---@class ljinspect.varargs
---@field n integer how many
---@field [integer] any

---The values that a function returns.
---@class ljinspect.returns
---@field n integer how many
---@field [integer] any

---What a filter is given.
---@class ljinspect.info
---@field finfo ljinspect.finfo
---@field vals table<string, any> the active locals; the innermost of a name
---@field uv table<string, any> the upvalues that the function uses
---@field varargs ljinspect.varargs
---@field returns? ljinspect.returns at returns only
---@field duration_us? number at returns only: microseconds that the call took; nil where that is not known
---@field tail_call? boolean at returns only: the function is left by a tail call, and there are no values

---Called at each hit. `false` keeps the hook; anything else, or an error, removes it. It cannot yield. Level 3 is the
---hooked function: debug.traceback("here", 3).
---@alias ljinspect.filter fun(info: ljinspect.info): any

-- ---- Hooks in table form ----

---@alias ljinspect.level "debug"|"info"|"warn"|"error"

---A snapshot of the hooked function.
---@class ljinspect.capture
---@field locals? boolean
---@field upvalues? boolean
---@field varargs? boolean
---@field returns? boolean the returned values, with `at = "return"`
---@field stack? integer so many frames, the hooked function's first; 0 to 200, usually 0
---@field stack_locals? integer so many of these with their locals; 0 to 200, usually 0
---@field format? "text"|"json" usually "text"
---@field depth? integer tables within tables, 1 to 20, usually 3
---@field entries? integer of a table or the varargs, 1 to 1000, usually 20
---@field string? integer bytes of a string, 1 to 65536, usually 200
---@field bytes? integer bytes of the whole line, 1 to 1048576, usually 16384
---@field mask? string[] more words for names whose values are not shown
---@field tostring? boolean ask `__tostring` of values that have one

---A hook in table form: a line (`file` and `line`), or a function (`func` without `line`).
---@class ljinspect.hook_options
---@field file? string the end of a chunk name; a "/" at its start pins a path component; nil is stdin
---@field line? integer 1 to 16777215
---@field func? string|function a function or the name of one; with `line` a hint
---@field at? "entry"|"return" of a function without `line`: usually its entry
---@field condition? string a Lua expression; only hits for which it holds count as matched
---@field log? string a line with expressions in braces; `{{` and `}}` are braces
---@field capture? boolean|ljinspect.capture a snapshot, behind the log line
---@field filter? ljinspect.filter called for the matched hits
---@field count? boolean a summary every `interval` seconds instead of a line per hit
---@field histogram? string an expression whose values the summary counts
---@field interval? number seconds between summaries, 0.01 to 86400, usually 10
---@field hits? integer the hook goes after so many that were shown, from 1
---@field per_second? number above 0; more than that are dropped, and counted
---@field expires? number seconds after which the hook goes
---@field sample? number above 0 to 1: the part of the hits that is looked at at all
---@field level? ljinspect.level of the lines, usually "info"
---@field tag? string a text of the lines
---@field sink? string|fun(line: string, level: ljinspect.level, key: string) "log", an absolute path, or a function
---@field budget? number 0 to 1, the part of a core that its hits may take; 0: no end; usually 0.05

---Set a hook. It is hit each time the program arrives at the line.
---
---An argument of a wrong type, an unknown field or an expression that does not compile raises an error that names it.
---@param file? string the end of a chunk name; a "/" at its start pins a path component; nil is stdin
---@param line integer 1 to 16777215
---@param func function|nil the function that the line is in: a hint, which never decides whether the hook is hit
---@param filter ljinspect.filter `false` keeps the hook; anything else removes it
---@return integer? id nil where it could not be set
---@return string? message why
---@overload fun(options: ljinspect.hook_options): integer?, string?
function ljinspect.set_hook(file, line, func, filter) end

---Remove all hooks with this file and line, as they were given to `set_hook`.
---@param file? string
---@param line integer
---@return integer? count how many there were
---@return string? message
function ljinspect.unset_hook(file, line) end

---Remove all hooks.
---@return integer? count how many there were
---@return string? message
function ljinspect.unset_all() end

---@class ljinspect.hook
---@field id integer
---@field key string "file#line", for hooks on returns "file#line:return"
---@field file string as it was set; "=stdin" where it was nil
---@field line integer of a hook on a function: the line on which its code begins
---@field state "armed"|"pending"|"no code"|"suspended"
---@field hits integer arrivals
---@field matched integer hits that the condition held for
---@field dropped integer over the rate, while suspended, or lost by the sink
---@field suspended integer how often it was suspended
---@field errors integer
---@field mean_ns number what a hit cost that was not passed over
---@field max_ns number
---@field tag? string
---@field places? integer armed, suspended: in how many loaded functions the line was found
---@field nearest? integer[] no code: the nearest lines that have some

---All hooks, in the order in which they were set.
---@return ljinspect.hook[]? hooks
---@return string? message
function ljinspect.hooks() end

---Name a function for logs: a C function's name, else "short_src:currentline (name)".
---@param finfo ljinspect.finfo|debuginfo
---@return string name
function ljinspect.getname(finfo) end

-- ---- Hooks file ----

---@class ljinspect.watch_options
---@field file? string usually what the environment variable LJINSPECT_HOOKS_FILE names
---@field delay? number seconds between looks where the system cannot notify, 0.01 to 86400, usually 3
---@field insecure? boolean development only: apply the file whoever may write it
---@field poll? boolean do not use the system's notification

---Watch a hooks file: apply it now, if it is there, and whenever it changes, as a whole or not at all.
---@param options ljinspect.watch_options
---@return boolean? done nil where watching could not start
---@return string? message why
function ljinspect.watch(options) end

---`watch { delay = delay, file = file }`.
---@param delay? number
---@param file? string
---@return boolean? done
---@return string? message
function ljinspect.init(delay, file) end

---Stop watching. The hooks stay.
---@return boolean? stopped false where nothing was watched
---@return string? message
function ljinspect.destroy() end

---Apply a change of the hooks file now.
---@return boolean? applied false where there was nothing to do
---@return string? message
function ljinspect.poll() end

-- ---- Log, limits and status ----

---Where messages go; without a function, standard error again, or in nginx `ngx.log`.
---@param logger? fun(level: ljinspect.level, message: string)
---@return nil
---@return string? message
function ljinspect.set_logger(logger) end

---@class ljinspect.limits_options
---@field budget? number 0 to 1, the part of a core that all hooks together may take; 0: no end
---@field filter_ms? number 0 to 60000, what a hook in table form may run for at a hit; 0: no end
---@field plain_filter_ms? number 0 to 60000, the same for filters in four-argument form

---@class ljinspect.limits
---@field budget number
---@field filter_ms number
---@field plain_filter_ms number

---Set those that are given.
---@param limits? ljinspect.limits_options
---@return ljinspect.limits? limits those in force
---@return string? message
function ljinspect.limits(limits) end

---@class ljinspect.status
---@field engine "trap"|"line"
---@field watcher "off"|"inotify"|"polling"|"forked" forked: the parent process watches, this one does not
---@field file? string the hooks file that is watched
---@field hooks integer how many there are
---@field version string the library's
---@field luajit? string LuaJIT's, nil where the global `jit` is not there

---@return ljinspect.status? status
---@return string? message
function ljinspect.status() end

---Choose the engine, before hooks are set.
---@param name? "trap"|"line"
---@return boolean? done
---@return string? message
function ljinspect.set_engine(name) end

return ljinspect
