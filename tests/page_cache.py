"""What the kernel has of a file in its page cache, asked without changing it."""

import ctypes
import mmap
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


def cached_pages(fd: int) -> list[int]:
    """Return the numbers of a file's pages that are in the page cache: mincore(2).

    A read with RWF_NOWAIT is no way to ask: where the page is absent the kernel begins to read it, and on a
    busy machine it has come before that read looks.
    """
    size = os.fstat(fd).st_size
    count = -(-size // mmap.PAGESIZE)
    found = ctypes.create_string_buffer(count)
    # Private and writable because ctypes takes no address of memory that can only be read.
    with mmap.mmap(fd, size, access=mmap.ACCESS_COPY) as mapped:
        first = ctypes.c_char.from_buffer(mapped)
        failed = _libc.mincore(ctypes.addressof(first), size, found)
        del first  # else the mapping can't be closed
    if failed:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return [page for page, state in enumerate(found.raw[:count]) if state & 1]
