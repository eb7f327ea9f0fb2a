#!/bin/bash
# Completion in a shell: completion.sh bash|zsh|fish. The shell itself is asked: the commands and the options of each are
# those of --help, no more and no fewer; where a process or a file is wanted, these are offered.
set -uo pipefail
shell=$1
here=$LJINSPECT_SOURCE/src/cli/completion
ljinspect=$LJINSPECT_BUILD/ljinspect
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
mkdir "$dir/tree" "$dir/tree/some-directory" "$dir/bin"
printf '#!/bin/sh\n' >"$dir/bin/madeup-program"
chmod +x "$dir/bin/madeup-program"
PATH=$dir/bin:$PATH
: >"$dir/tree/some.folded"
: >"$dir/tree/other file.lua"
cd "$dir/tree" || exit 1

fail() {
    echo "FAILED: $*"
    failed=1
}

# ---- What --help says ----

commands=$("$ljinspect" --help | sed -n 's/^  \([a-z]\{1,\}\)  .*/\1/p')
[ "$(echo "$commands" | wc -l)" -ge 7 ] || fail "ljinspect --help lists too few commands: $commands"

# The options of a command, without "=", one a line.
options_of() {
    local help
    help=$("$ljinspect" "$1" --help) || fail "ljinspect $1 --help: status $?"
    echo "$help" | grep -E '^  ( *|-[A-Za-z], )--' | grep -oE -- '^ *(-[A-Za-z], )?--[a-z-]+' | tr ',' '\n' | tr -d ' ' | sort
}

types=$("$ljinspect" gc -t made_up 1 2>&1 | sed -n 's/.*: of \(.*\) expected/\1/p' | tr -d , | tr ' ' '\n' | sort)
[ -n "$types" ] || fail "ljinspect gc -t tells no types"

# ---- What each shell offers: offers WORD..., one a line; the last word is what was typed of it ----

case $shell in
bash)
    cat >"$dir/ask" <<'END_OF_BASH'
source "$1/ljinspect.bash"
shift
COMP_WORDS=(ljinspect "$@") COMP_CWORD=$#
_ljinspect ljinspect "${@: -1}" "${@: -2:1}"
printf '%s\n' "${COMPREPLY[@]}"
END_OF_BASH
    offers() { bash --norc --noprofile "$dir/ask" "$here" "$@"; }
    ;;
zsh)
    # The functions that zsh's completion offers with are put in place of its own: what they are given is what it shows.
    cat >"$dir/ask" <<'END_OF_ZSH'
typeset -a words
fake() {
    local -a specs
    local skip=
    for it in "$@"; do
        case $it in
        -s | -S) ;;
        -A) skip=1 ;;
        *) if [[ -n $skip ]]; then skip=; else specs+=("$it"); fi ;;
        esac
    done
    for it in $specs; do
        it=${it#\(*\)}
        it=${it#\*}
        case $it in
        -*) print -r -- "${${it%%\[*}%%[=+]*}"; [[ $it == *:* ]] && print -r -- "value ${${it%%\[*}%%[=+]*} ${it##*:}" ;;
        *) print -r -- "argument ${it##*:}" ;;
        esac
    done
}
_arguments() { fake "$@" }
_describe() { print -rl -- ${${(P)4}%%:*} }
directory=$1
shift
words=(ljinspect "$@")
CURRENT=$(( $# + 1 ))
source $directory/_ljinspect
END_OF_ZSH
    offers() { zsh -f "$dir/ask" "$here" "$@"; }
    ;;
fish)
    # HOME: fish writes there.
    export HOME=$dir XDG_CONFIG_HOME=$dir/config XDG_DATA_HOME=$dir/data
    offers() {
        local line=ljinspect
        while [ $# -gt 1 ]; do
            line="$line '$1'"
            shift
        done
        fish --no-config -c 'source $argv[1]; complete -C "$argv[2]"' "$here/ljinspect.fish" "$line $1" | cut -f 1
    }
    ;;
*) echo "completion.sh bash|zsh|fish" >&2 && exit 2 ;;
esac

# ---- Commands and options ----

same() { # WHAT EXPECTED GOT
    [ "$2" = "$3" ] && return
    fail "$1"
    diff <(echo "$2") <(echo "$3") | sed -n 's/^</    not offered:/p; s/^>/    offered, but not there:/p'
}

same "$shell: commands" "$(echo "$commands" | sort)" "$(offers '' | grep -v '^-' | sort)"
same "$shell: options without a command" "$(printf '%s\n' --help --version -h | sort)" \
    "$(offers - | sed 's/=$//' | grep '^-' | sort)"
checked=0
for command in $commands; do
    expected=$(options_of "$command")
    checked=$((checked + $(echo "$expected" | wc -l)))
    # fish offers an option's short and long name when what is typed begins like them.
    if [ "$shell" = fish ]; then
        got=$({
            offers "$command" -
            offers "$command" --
        } | grep -E '^(-[A-Za-z]|--[a-z-]+=?)$' | sed 's/=$//' | sort -u)
    else
        got=$(offers "$command" - | grep '^-' | sed 's/=$//' | sort)
    fi
    same "$shell: options of ljinspect $command" "$expected" "$got"
done
[ "$checked" -ge 50 ] || fail "only $checked options were found in what --help says"

# ---- Values ----

has() { # WHAT EXPECTED-LINE WORD...: it is offered
    local what=$1 expected=$2 got
    shift 2
    got=$(offers "$@")
    grep -qxF -- "$expected" <<<"$got" || fail "$shell: $what: ljinspect $* does not offer '$expected' but: $(head -5 <<<"$got")"
}
has_not() {
    local what=$1 unexpected=$2
    shift 2
    if offers "$@" | grep -qxF -- "$unexpected"; then fail "$shell: $what: ljinspect $* offers '$unexpected'"; fi
}

case $shell in
zsh)
    for command in ps stack record gc traces; do has "a process" "argument  _ljinspect_pids" "$command" ''; done
    has "a file" "argument _files" report ''
    has "a program" "argument  _command_names -e" run ''
    has "its arguments" "argument  _normal" run ''
    for option in core exe; do has "a file" "value --$option _files" stack ''; done
    has "a file" "value -f _files" run ''
    has "a file" "value --output _files" record ''
    has "backends" "value -b (auto ebpf ptrace)" record ''
    same "zsh: types" "$types" "$(offers gc '' | sed -n 's/^value --types _values -s , type //p' | tr ' ' '\n' | sort)"
    ;;
*)
    for command in ps stack record gc traces; do has "a process" $$ "$command" ''; done
    has "a file" some.folded report so
    [ "$shell" = bash ] || has "a file" "--core=some.folded" stack "--core=so"
    has_not "a value is wanted" $$ stack -n ''
    has "a program" madeup-program run made
    has "a program" madeup-program run -b app.lua:6 -n 3 -- made
    has "a program" madeup-program run --hits=3 made
    has "an option" --verbose run -n 3 --verb
    has_not "the options of the program" --verbose run madeup-program --verb
    has_not "the options of the program" --verbose run -- madeup-program --verb
    has "a file" some.folded run madeup-program some
    has "a file" some.folded run -f some
    has "a backend" ptrace record -b pt
    has "a backend" ptrace record -d 3 -b ''
    has "a process" $$ record -d 3 ''
    has "an option" --off-cpu record --off
    has "types" table,string gc -t table,str
    has "types" string gc -t str
    ;;
esac
if [ "$shell" = bash ]; then
    # readline takes ":" and "=" for ends of words.
    offers() { bash --norc --noprofile "$dir/ask" "$here" "$@"; }
    has "a file" some.folded stack --core = so
    has "a file" some.folded stack --core =
    has "a program" madeup-program run -b app.lua : 6 made
    has "a program" madeup-program run --break = app.lua : 6 made
    has "a backend" ebpf record --backend = e
    has "a name with a space" "other file.lua" run -f oth
    same "bash: types" "$types" "$(offers gc -t '' | sort)"
elif [ "$shell" = fish ]; then
    same "fish: types" "$types" "$(offers gc -t '' | sort)"
fi

# And as it is typed: what a line becomes by a tab. zsh's own functions take part here.
if [ "$shell" = zsh ]; then
    cat >"$dir/type" <<'END_OF_ZSH'
zmodload zsh/zpty || exit 1
zpty z "TERM=dumb zsh -f -i"
zpty -w z "fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; unsetopt zle_bracketed_paste 2>/dev/null"
zpty -w z 'show() { print -r -- "<$BUFFER>"; BUFFER=; }; zle -N show; bindkey "^X" show; print READ""Y'
zpty -r z out '*READY*' || exit 1
zpty -w -n z "$2"$'\t\x18'
zpty -r z out '*<ljinspect*>*' || exit 1
print -r -- "${${out##*<ljinspect }%%>*}"
END_OF_ZSH
    becomes() { # TYPED EXPECTED
        local got
        got=$(timeout 30 zsh -f "$dir/type" "$here" "ljinspect $1") || fail "zsh, typed: status $?"
        [ "$got" = "$2" ] || fail "zsh: 'ljinspect $1' becomes '$got', not '$2'"
    }
    becomes 'st' 'stack '
    becomes 'run -b x:6 -n 3 made' 'run -b x:6 -n 3 madeup-program '
    becomes 'run -- madeup-program some.f' 'run -- madeup-program some.folded '
    becomes 'report some.f' 'report some.folded '
    becomes 'stack --core=some.f' 'stack --core=some.folded '
    becomes 'gc -t table,str' 'gc -t table,string,'
    becomes "stack $$" "stack $$ "
fi

echo "$shell: $checked options"
exit $failed
