"""The voice: so-vits-svc-fork's networks, driven, trained and judged by our own code."""

DEFAULT_VOICE = "lj"
"""Who sings where nobody is named: the shipped so-vits-svc voice (its figures: `remix eval voice`)."""
