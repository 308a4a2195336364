"""The Demucs engine: its networks and formats, loaded safely, streamed, batched and seeded; and a small one of ours."""

ALL_LEAD = "none"
"""The splitter that leaves all vocals to the lead."""
