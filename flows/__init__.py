"""One file a deployment; a flow reads like a sentence."""

import tasks as _environment  # noqa: F401  (before Prefect is imported)
