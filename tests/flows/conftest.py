"""What the tests of flows share."""

from tests.support.hub import networks, official

__all__ = ["networks", "official"]
