# shellcheck shell=bash
# Sourced by the programs here: where the checkout is, how they print, and what this machine cannot have.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# shellcheck disable=SC2034  # used where this is sourced
venv=$checkout/.venv

# A module path meant for another Python would leak into the virtual environment.
unset PYTHONPATH PYTHONHOME

# Prints the comment at the head of the running script: its usage.
usage_text() { sed -n '2,/^[^#]/ { /^#/ s/^# \?//p }' "${BASH_SOURCE[-1]}"; }

# `--help` prints the usage and does nothing else.
if [[ ${1-} == --help || ${1-} == -h ]]; then
    usage_text
    exit 0
fi

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Files that a run under sudo makes in a user's checkout are given to that user, who could not change them otherwise.
hand_back() {
    if ((EUID == 0)) && [[ ! -O $checkout ]]; then
        find "$checkout" -xdev -user 0 -exec chown --no-dereference --reference="$checkout" {} +
    fi
}

# What the tests leave out on this machine, one per line: a name that FANOUTFS_WITHOUT takes, and the reason.
left_out() {
    # Ubuntu's package installs a snap. Containers cannot run snaps, and a snap does not see the tests' folders.
    if [[ -e /etc/os-release && $(. /etc/os-release && echo "${ID-}") == ubuntu ]] && ! command -v chromium >/dev/null; then
        echo "chromium (Ubuntu has it only as a snap)"
    fi
    # In a plain chroot mount propagation cannot be changed, which is what keeps a test host's mounts private.
    if ! mountpoint --quiet /; then
        echo "hosts (this is a plain chroot, whose / is not a mount)"
    fi
}
