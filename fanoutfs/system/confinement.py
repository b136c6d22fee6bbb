"""What a process that holds a source's bytes gives up: being dumped or traced, and gaining rights by exec.

The source may be a whole disk, and a dump of the memory would be a copy of parts of it that anybody might
collect. See prctl(2), core(5). The memory of the ring is kept out of all dumps by madvise(2), too.
"""

import resource

from fanoutfs.system.fork import control
from fanoutfs.system.fuse_access import may_mount

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
"""linux/prctl.h"""


def confine() -> None:
    """Forbid the kernel to dump this process, and to give it further rights. Raise UnusableError.

    Others of the same user can't trace it then or see its descriptors; its /proc/PID belongs to root. A
    process that can't mount by itself keeps the way to gain rights: fusermount3 unmounts for it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    control(PR_SET_DUMPABLE, 0)
    if may_mount():
        control(PR_SET_NO_NEW_PRIVS, 1)
