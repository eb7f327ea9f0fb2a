# Completion of the ljinspect command for fish.

# The command is one of these.
function __ljinspect_is
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

# The command is `run`, and PROGRAM does not stand there yet: then the options are run's own.
function __ljinspect_before_program
    __ljinspect_is run; or return 1
    set -l words (commandline -opc)
    set -e words[1..2]
    while set -q words[1]
        switch $words[1]
            case -b -n -f --break --hits --hooks
                set -e words[1]
            case --
                return 1
            case '-*'
            case '*'
                return 1
        end
        set -e words[1]
    end
end

# Processes, without the kernel's own threads. grep, because a process that has gone meanwhile must not be told.
function __ljinspect_pids
    set -l processes (grep -ls . /proc/*/cmdline | string match -r '^/proc/[0-9]+/')
    set -q processes[1]; or return
    grep -Hs . $processes"comm" | string replace -r '^/proc/([0-9]+)/comm:' '$1\t'
end

complete -c ljinspect -f

complete -c ljinspect -n __fish_use_subcommand -a run -d 'run a program with breakpoints in its Lua code'
complete -c ljinspect -n __fish_use_subcommand -a ps -d 'list the processes with LuaJIT VMs in them'
complete -c ljinspect -n __fish_use_subcommand -a stack -d 'show the Lua stacks of a process, or of a core file'
complete -c ljinspect -n __fish_use_subcommand -a record -d 'sample Lua stacks, and write flame graphs'
complete -c ljinspect -n __fish_use_subcommand -a report -d 'print the top functions and lines of a recorded profile'
complete -c ljinspect -n __fish_use_subcommand -a gc -d 'show what is in the Lua heap, and what holds it'
complete -c ljinspect -n __fish_use_subcommand -a traces -d 'show what the JIT compiler has made, and what it could not'
complete -c ljinspect -n __fish_use_subcommand -s h -l help -d 'print help'
complete -c ljinspect -n __fish_use_subcommand -l version -d 'print the version'

# Several commands'
complete -c ljinspect -n '__ljinspect_is ps stack record report gc traces' -s h -l help -d 'print help'
complete -c ljinspect -n '__ljinspect_is ps stack report gc traces' -s j -l json -d 'print JSON'
complete -c ljinspect -n '__ljinspect_is stack gc traces' -l core -r -F -d 'read a core file'
complete -c ljinspect -n '__ljinspect_is stack gc traces' -l exe -r -F -d 'the program that left it, where it is not where it was'
complete -c ljinspect -n '__ljinspect_is gc traces' -l stop -d 'hold the process while its memory is copied'
complete -c ljinspect -n '__ljinspect_is ps stack record gc traces' -a '(__ljinspect_pids)'

# run
complete -c ljinspect -n __ljinspect_before_program -s b -l break -r -F -d 'show locals, upvalues and the stack when FILE:LINE runs'
complete -c ljinspect -n __ljinspect_before_program -s n -l hits -x -d 'of each breakpoint and process; 0 for all'
complete -c ljinspect -n __ljinspect_before_program -s f -l hooks -r -F -d 'apply this hooks file, and its changes'
complete -c ljinspect -n __ljinspect_before_program -s v -l verbose -d 'say so when PROGRAM used no LuaJIT that can be attached to'
complete -c ljinspect -n __ljinspect_before_program -s h -l help -d 'print help'
complete -c ljinspect -n __ljinspect_before_program -l version -d 'print the version'
complete -c ljinspect -n '__ljinspect_is run' -a '(__fish_complete_subcommand --fcs-skip=2 -b --break -n --hits -f --hooks)'

# stack
complete -c ljinspect -n '__ljinspect_is stack' -s a -l all -d 'all coroutines, not only the one that runs'
complete -c ljinspect -n '__ljinspect_is stack' -s l -l locals -d 'names and values of local variables'
complete -c ljinspect -n '__ljinspect_is stack' -s n -l frames -x -d 'at most so many frames of each stack'

# record
complete -c ljinspect -n '__ljinspect_is record' -s d -l duration -x -d 'how long, in seconds'
complete -c ljinspect -n '__ljinspect_is record' -s F -l frequency -x -d 'samples a second, 1 to 1000'
complete -c ljinspect -n '__ljinspect_is record' -s o -l output -r -F -d 'a file: .html, .json, .pb.gz, .pprof, or folded stacks'
complete -c ljinspect -n '__ljinspect_is record' -s b -l backend -x -a 'auto ebpf ptrace' -d 'who takes the samples'
complete -c ljinspect -n '__ljinspect_is record' -l children -d 'also the processes that it has started, and theirs'
complete -c ljinspect -n '__ljinspect_is record' -l off-cpu -d 'where Lua code waits, instead of where it runs'

# report
complete -c ljinspect -n '__ljinspect_is report' -s n -l top -x -d 'how many of each'
complete -c ljinspect -n '__ljinspect_is report' -F

# gc
complete -c ljinspect -n '__ljinspect_is gc' -s n -l top -x -d 'how many of the biggest of each type, 0 to 1000'
complete -c ljinspect -n '__ljinspect_is gc' -s w -l ways -x -d 'at most so many ways to each, 1 to 8'
complete -c ljinspect -n '__ljinspect_is gc' -s t -l types -x -a '(__fish_append , string table function userdata cdata thread upvalue prototype trace)' -d 'which types'
complete -c ljinspect -n '__ljinspect_is gc' -l held -d 'the biggest with all that is found through them first'
