"""Markdown as roff, for man(7): what the documents of this project use of it, and no more."""

from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable("table")

IN_TAG = ("unit", "default")
"""Columns of a table that are shown in brackets behind the first one; others follow as sentences."""

MANUAL = {"options.md": "fanoutfs(1)", "sources.md": "fanoutfs(5)", "status.md": "fanoutfs(5)"}
"""The manual page that has a document as a whole; others are named as files of the source."""

MARKERS = {"bullet_list_open": "\\(bu 2", "ordered_list_open": ""}
"""What begins an item, with its width; an ordered list counts."""

FIXED: dict[str, list[str]] = {
    "paragraph_open": [".PP"],
    "paragraph_close": [],
    "heading_close": [],
    "list_item_close": [],
}
"""What else is in the documents. Anything else raises KeyError: the manual can't show it."""

SPECIAL = str.maketrans(
    {"\\": "\\e", "-": "\\-", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", "'": "\\(aq", "…": "..."}
)


def escaped(text: str) -> str:
    """Return text that roff shows as it is; dashes and quotes can be copied into a shell."""
    return text.translate(SPECIAL)


def bold(text: str) -> str:
    """Return text in bold type."""
    return f"\\fB{escaped(text)}\\fR"


def example(lines: Iterable[str]) -> list[str]:
    """Return the lines as they are, indented."""
    return [".PP", ".RS 4", ".EX", *(guarded(escaped(line)) for line in lines), ".EE", ".RE"]


def guarded(line: str) -> str:
    """Return a line that roff does not take for a request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line


def quoted(title: str) -> str:
    """Return a title as the argument of a request."""
    return '"' + escaped(title).replace('"', '""') + '"'


def tagged(tag: str, body: str) -> list[str]:
    """Return an item of a list, with its name."""
    return [".TP", guarded(tag), *(guarded(line) for line in (body or "\\&").split("\n"))]


def converted(markdown: str, *, heading: str = ".SS") -> list[str]:
    """Return the lines of a text; its headings of the second level are ``heading``, deeper ones bold."""
    return list(_blocks(PARSER.parse(markdown), heading))


def tidy(lines: Iterable[str]) -> list[str]:
    """Return the lines without requests for a paragraph where one begins anyway."""
    found: list[str] = []
    for line in lines:
        if line == ".PP" and (not found or found[-1].startswith((".SH", ".SS", ".IP", ".PP"))):
            continue
        found.append(line)
    return found


def inline(token: Token | None) -> str:
    """Return the text of a paragraph or a cell."""
    parts: list[str] = []
    targets: list[str] = []
    for child in (token and token.children) or ():
        match child.type:
            case "text":
                parts.append(escaped(child.content))
            case "code_inline":
                parts.append(bold(child.content))
            case "strong_open":
                parts.append("\\fB")
            case "em_open":
                parts.append("\\fI")
            case "strong_close" | "em_close":
                parts.append("\\fR")
            case "softbreak" | "hardbreak":
                parts.append("\n")
            case "link_open":
                targets.append(str(child.attrGet("href")))
            case "link_close":
                parts.append(_where(targets.pop()))
            case other:
                raise ValueError(f"the manual can't show {other}: {child.content}")
    return "".join(parts)


def _where(target: str) -> str:
    """Return the place that a link leads to, for a reader who can't follow it."""
    if "://" in target:
        return f" <{escaped(target)}>"
    page, _, _ = target.partition("#")
    if page.startswith("decisions/"):
        # The text has its number, and a path of that length leaves a ragged line.
        return ""
    return f" ({escaped(MANUAL.get(page, f'docs/{page}'))})" if page else ""


def _blocks(tokens: list[Token], heading: str) -> Iterator[str]:
    stream = iter(tokens)
    markers: list[str] = []
    for token in stream:
        match token.type:
            case "heading_open":
                yield from _heading(next(stream), token.tag, heading)
            case "inline":
                yield from map(guarded, inline(token).split("\n"))
            case "fence":
                yield from example(token.content.rstrip("\n").split("\n"))
            case "table_open":
                yield from _table(stream)
            case "list_item_open":
                yield f".IP {markers[-1] or token.info + '. 4'}"
            case "bullet_list_open" | "ordered_list_open":
                markers.append(MARKERS[token.type])
            case "bullet_list_close" | "ordered_list_close":
                markers.pop()
            case other:
                yield from FIXED[other]


def _heading(title: Token, level: str, request: str) -> list[str]:
    if level == "h2":
        return [f"{request} {quoted(title.content.replace('`', ''))}"]
    return [".PP", f"\\fB{inline(title)}\\fR"] if level != "h1" else []


def _table(stream: Iterator[Token]) -> Iterator[str]:
    """Yield a table as a list: the first cell of each row is the name of an item."""
    rows: list[list[Token]] = []
    for token in stream:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token)
        elif token.type == "table_close":
            break
    titles, *items = rows
    for row in items:
        cells = [(title.content, inline(cell)) for title, cell in zip(titles, row, strict=True)]
        tag = cells[0][1] or "\\&"
        behind = [
            f"default {text}" if title == "default" else text
            for title, text in cells[1:]
            if title in IN_TAG and text
        ]
        rest = [(title, text) for title, text in cells[1:] if title not in IN_TAG and text]
        if behind:
            tag += f" ({', '.join(behind)})"
        named = len(rest) > 1
        yield from tagged(
            tag,
            "\n".join(
                f"\\fI{escaped(title)}:\\fR {text.removesuffix('.')}." if named else text
                for title, text in rest
            ),
        )
