"""Notes and time: scores, beat maps, harmony, General MIDI, MIDI files."""
