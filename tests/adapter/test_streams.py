"""The standard streams of a process that was started without some of them, or whose output goes nowhere."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from fanoutfs.system.streams import STANDARD

SETTLED = "import os, sys; from fanoutfs.system.streams import *; settle_streams(); "
REPORTS = SETTLED + "print('report'); print(output_failure() or 'written', is_heard(), file=sys.stderr)"


def python(text: str, *without: int, **streams: int) -> subprocess.CompletedProcess[str]:
    """Run a program some of whose standard descriptors are closed."""
    close = " ".join(f"{number}>&-" for number in without)
    line = ["sh", "-c", f'exec "$@" {close}', "sh", sys.executable, "-c", text]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(line, check=False, text=True, stdin=subprocess.DEVNULL, **piped)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("without", [some for count in (1, 2, 3) for some in combinations(STANDARD, count)])
def test_closed_ones_are_dev_null(without: tuple[int, ...], tmp_path: Path) -> None:
    """What is opened later is none of them; printing and reading fail no more than elsewhere."""
    names = [f"/proc/self/fd/{number}" for number in without]
    done = python(
        SETTLED + f"found = [os.readlink(name) for name in {names}]; later = os.open('.', os.O_RDONLY); "
        "print('out'); print('err', file=sys.stderr); read = sys.stdin.read(); "
        f"open({str(tmp_path / 'found')!r}, 'w').write(repr((found, later > 2, read)))",
        *without,
    )

    assert 0 == done.returncode
    assert repr(([os.devnull] * len(without), True, "")) == (tmp_path / "found").read_text()
    assert ("" if 1 in without else "out\n", "" if 2 in without else "err\n") == (done.stdout, done.stderr)


def test_children_have_them_too() -> None:
    """A program that is started with one of them closed would open a disk there."""
    done = python(SETTLED + "os.execvp('sh', ['sh', '-c', 'cat <&0 && echo there'])", 0)
    assert (0, "there\n") == (done.returncode, done.stdout)


def test_a_full_disk_is_remembered() -> None:
    """The program goes on, and knows the reason at its end."""
    full = os.open("/dev/full", os.O_WRONLY)
    done = python(REPORTS, stdout=full)
    os.close(full)
    assert (0, "standard output can't be written: no space left on device False\n") == (
        done.returncode,
        done.stderr,
    )


def test_a_reader_that_has_gone_is_no_failure() -> None:
    """It did not want the rest; whoever draws for ever can see that."""
    reader, writer = os.pipe()
    os.close(reader)
    done = python(REPORTS, stdout=writer)
    os.close(writer)
    assert (0, "written False\n") == (done.returncode, done.stderr)


def test_what_the_encoding_lacks_is_escaped() -> None:
    """Also a name that is no text at all."""
    done = python(
        "import sys; sys.stdout.reconfigure(encoding='latin-1'); " + SETTLED + r"print('\u2026\udce9')"
    )
    assert (0, r"\u2026\udce9") == (done.returncode, done.stdout.strip())


def test_a_pipe_that_does_not_block_gets_everything() -> None:
    """Its other end takes it later."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen(
        [sys.executable, "-c", SETTLED + "print('x' * 300000); sys.exit(output_failure() or 0)"],
        stdout=writer,
    ) as process:
        os.close(writer)
        with open(reader) as stream:  # noqa: PTH123 (a descriptor)
            assert 300001 == len(stream.read())
    assert 0 == process.returncode
