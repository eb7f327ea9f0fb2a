# Completion of the ljinspect command for bash. It needs nothing but bash itself, 4.0 or later.

# Offer those of the words $1 that begin with $cur; after an option that ends in "=" comes no space.
_ljinspect_words() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}

_ljinspect_files() {
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    compopt -o filenames 2>/dev/null
}

# Processes, without the kernel's own threads.
_ljinspect_pids() {
    local directory pids='' first
    for directory in /proc/[0-9]*; do
        if IFS= read -rd '' first <"$directory/cmdline" && [[ $first ]]; then pids+=" ${directory#/proc/}"; fi
    done 2>/dev/null
    _ljinspect_words "$pids"
}

# The last of a list of words with commas between them.
_ljinspect_list() {
    local before='' i
    if [[ $cur == *,* ]]; then before=${cur%,*},; fi
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "${cur##*,}")
    for i in "${!COMPREPLY[@]}"; do COMPREPLY[i]=$before${COMPREPLY[i]}; done
    compopt -o nospace 2>/dev/null
}

# What follows the option $1 of the command $2; 1 where it takes nothing.
_ljinspect_value() {
    case $2:$1 in
    run:-b | run:--break)
        _ljinspect_files
        compopt -o nospace 2>/dev/null
        ;;
    run:-f | run:--hooks | record:-o | record:--output | *:--core | *:--exe) _ljinspect_files ;;
    record:-b | record:--backend) _ljinspect_words 'auto ebpf ptrace' ;;
    gc:-t | gc:--types) _ljinspect_list 'string table function userdata cdata thread upvalue prototype trace' ;;
    run:-n | run:--hits | stack:-n | stack:--frames | gc:-n | gc:--top | report:-n | report:--top) ;;
    gc:-w | gc:--ways | record:-d | record:--duration | record:-F | record:--frequency) ;;
    *) return 1 ;;
    esac
    return 0
}

# Where PROGRAM stands among the words of `ljinspect run`, in `program`; 0 where it does not stand there yet.
_ljinspect_program() {
    local i
    program=0
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --) program=$((i + 1)) && return ;;
        -b | -n | -f | --break | --hits | --hooks)
            if [[ ${COMP_WORDS[i + 1]} == = ]]; then ((i++)); fi
            ((i++))
            # FILE:LINE is three words for bash.
            if [[ ${COMP_WORDS[i + 1]} == : ]]; then ((i += 2)); fi
            ;;
        -*) ;;
        *) program=$i && return ;;
        esac
    done
}

_ljinspect() {
    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} program=0 options
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _ljinspect_words 'run ps stack record report gc traces --help --version -h'
        return
    fi
    if [[ $command == run ]]; then
        _ljinspect_program
        if ((program > 0 && COMP_CWORD > program)); then
            if declare -F _command_offset >/dev/null; then _command_offset "$program"; else _ljinspect_files; fi
            return
        fi
    fi
    # "--core=x" is three words for bash.
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((program == 0)) && _ljinspect_value "$option" "$command"; then return; fi
    case $command in
    run) options='-b --break= -n --hits= -f --hooks= -v --verbose -h --help --version' ;;
    ps) options='-j --json -h --help' ;;
    stack) options='-a --all -l --locals -n --frames= -j --json --core= --exe= -h --help' ;;
    record) options='-d --duration= -F --frequency= -o --output= -b --backend= --children --off-cpu -h --help' ;;
    report) options='-n --top= -j --json -h --help' ;;
    gc) options='-n --top= -w --ways= -t --types= --held --stop -j --json --core= --exe= -h --help' ;;
    traces) options='--stop -j --json --core= --exe= -h --help' ;;
    *) return ;;
    esac
    if [[ $cur == -* ]] && ((program == 0)); then
        _ljinspect_words "$options"
        return
    fi
    case $command in
    run)
        mapfile -t COMPREPLY < <(compgen -c -- "$cur" && compgen -f -- "$cur")
        compopt -o filenames 2>/dev/null
        ;;
    report) _ljinspect_files ;;
    *) _ljinspect_pids ;;
    esac
}

complete -F _ljinspect ljinspect
