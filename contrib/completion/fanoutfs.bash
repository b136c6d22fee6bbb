# Completion of fanoutfs for bash 4.4 or later. The program answers, in the form of click: a line "type,value" for each.

_fanoutfs() {
    local IFS=$' \t\n' type value word words=() files=

    # bash splits --pace=strict in three words; the program expects one.
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if ((${#words[@]})) && [[ ${words[-1]} == --* && ($word == = || ${words[-1]} == *=) ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done

    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
        plain) COMPREPLY+=("$value") ;;
        dir) compopt -o dirnames ;;
        file) files=yes ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) _FANOUTFS_COMPLETE=bash_complete "$1" 2>/dev/null)

    [[ $files ]] || return 0
    if ((${#COMPREPLY[@]})); then
        compopt -o filenames
        while IFS= read -r value; do COMPREPLY+=("$value"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
    else
        compopt -o default
    fi
}

complete -o nosort -F _fanoutfs fanoutfs
