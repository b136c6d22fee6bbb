"""Write the manual pages, docs/man, from the commands and the documents.

Run it in the environment of the project: .venv/bin/python -m contrib.manual
"""

from contrib.manual.documents import DOCS
from contrib.manual.pages import PAGES

if __name__ == "__main__":
    for name, text in PAGES.items():
        (DOCS / "man" / name).write_text(text())
