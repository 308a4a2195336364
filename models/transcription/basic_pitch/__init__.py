"""Basic Pitch: its network, the decoding of its posteriors, and a filter of the decoded notes."""
