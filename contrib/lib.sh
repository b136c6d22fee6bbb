# shellcheck shell=bash
# Sourced by setup, demo and test: where the checkout is, and how they talk.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck disable=SC2034  # used where this is sourced
venv=$checkout/.venv

# A module path meant for another Python would leak into the virtual environment.
unset PYTHONPATH PYTHONHOME

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# What a run under sudo makes in somebody's checkout belongs to that somebody, who could not change it otherwise.
hand_back() {
    if ((EUID == 0)) && [[ ! -O $checkout ]]; then
        find "$checkout" -xdev -user 0 -exec chown --no-dereference --reference="$checkout" {} +
    fi
}
