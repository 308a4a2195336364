"""The voice: so-vits-svc-fork's networks, driven, trained and judged by our own code."""
