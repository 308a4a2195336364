"""The Demucs engine: its networks and formats, loaded safely, streamed, batched and seeded; and a small one of ours."""
