/* For LD_PRELOAD: a program that wants its output files emptied when it opens them gets them as they are.

   So dcfldd, dc3dd and tee write over a file that is there, as they write over a disk, and need no new memory. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#define KEEPING_OPEN(name)                                                    \
    int name(const char *path, int flags, ...)                                \
    {                                                                         \
        va_list words;                                                        \
        va_start(words, flags);                                               \
        mode_t mode = flags & O_CREAT ? va_arg(words, mode_t) : 0;            \
        va_end(words);                                                        \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);        \
        return real(path, flags & ~O_TRUNC, mode);                            \
    }

#define KEEPING_FOPEN(name)                                                   \
    FILE *name(const char *path, const char *mode)                            \
    {                                                                         \
        FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, #name);  \
        return real(path, mode[0] == 'w' ? "r+" : mode);                      \
    }

KEEPING_OPEN(open)
KEEPING_OPEN(open64)
KEEPING_FOPEN(fopen)
KEEPING_FOPEN(fopen64)
