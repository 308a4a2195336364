"""Music information: f0, beats, chroma, chords, key."""
