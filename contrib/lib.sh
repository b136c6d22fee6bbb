# shellcheck shell=bash
# Sourced by the programs here: where the checkout is, how they talk, and what cannot be had on this machine.

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

# What the tests do without on this machine, one per line: a name that FANOUTFS_WITHOUT takes, and why.
left_out() {
    # Ubuntu's package is a pointer to a snap. A container cannot have that, nor does a snap see the tests' folders.
    if [[ -e /etc/os-release && $(. /etc/os-release && echo "${ID-}") == ubuntu ]] && ! command -v chromium >/dev/null; then
        echo "chromium (Ubuntu has it only as a snap)"
    fi
    # Then the kernel lets nobody change how mounts propagate, which is what keeps a host's own mounts to itself.
    if ! mountpoint --quiet /; then
        echo "hosts (this is a plain chroot, whose / is not a mount)"
    fi
}
