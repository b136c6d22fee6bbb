"""What the user asked of a copy."""

import attrs


@attrs.frozen(kw_only=True)
class CopyOptions:
    """The options of ``fanoutfs copy`` that are not a producer's settings."""

    yes: bool
    verify: bool
    resume: bool
    sparse: bool
    progress: bool
    dry_run: bool
