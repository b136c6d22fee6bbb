#compdef fanoutfs
# Completion of fanoutfs for zsh. The program answers, in the form of click: three lines for each, type, value, help.

_fanoutfs_completion() {
    local -a completions
    local -a completions_with_descriptions
    local -a response
    local type key descr
    (( ! $+commands[fanoutfs] )) && return 1

    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) _FANOUTFS_COMPLETE=zsh_complete fanoutfs)}")

    # The value behind --pace= is completed alone.
    [[ ${words[CURRENT]} != --*=* ]] || compset -P '*='

    for type key descr in ${response}; do
        if [[ "$type" == "plain" ]]; then
            if [[ "$descr" == "_" ]]; then
                completions+=("$key")
            else
                completions_with_descriptions+=("$key":"$descr")
            fi
        elif [[ "$type" == "dir" ]]; then
            _path_files -/
        elif [[ "$type" == "file" ]]; then
            _path_files -f
        fi
    done

    if [ -n "$completions_with_descriptions" ]; then
        _describe -V unsorted completions_with_descriptions
    fi

    if [ -n "$completions" ]; then
        compadd -V unsorted -a completions
    fi
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    # autoload from fpath, call function directly
    _fanoutfs_completion "$@"
else
    # eval/source/. command, register function for later
    compdef _fanoutfs_completion fanoutfs
fi
