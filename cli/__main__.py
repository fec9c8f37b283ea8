"""``python -m prefect_deepset.cli``: the same as ``prefect-deepset``."""

import sys

from .main import main

sys.exit(main())
