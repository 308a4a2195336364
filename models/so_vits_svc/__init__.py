"""The voice: so-vits-svc-fork's networks, driven, trained and judged by our own code."""

DEFAULT_VOICE = "knn"
"""Who sings where nobody is named: of the shipped voices the one whose figures are best (`remix eval voice`)."""
