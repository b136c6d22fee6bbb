"""Letters for Hypothesis's texts."""

from hypothesis import strategies as st

LETTERS = st.characters(exclude_categories=["Cs"])
"""All letters that UTF-8 has, as in ``st.text()``, which encodes each letter of Unicode to find them; that
takes some seconds in a fresh checkout."""
