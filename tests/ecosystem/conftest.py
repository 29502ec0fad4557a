"""Arrays of Weft in the hands of other libraries, which the extra `ecosystem` installs.

    SCIPY_ARRAY_API=1 python -m pytest tests/ecosystem

SciPy reads that variable when it is imported, so it has to be there before; without it, these tests
are not collected. A file skips where its library is absent.
"""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")

collect_ignore_glob = [] if os.environ.get("SCIPY_ARRAY_API") == "1" else ["test_*.py"]
