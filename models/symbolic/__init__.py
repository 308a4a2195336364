"""Symbolic music: scores, beat maps, harmony, MIDI.

score_ops      tracks replaced, removed, merged, transposed
beat_map       seconds to beats and back; extending a grid
harmony        key estimation and chord decoding from pitch classes
general_midi   General MIDI programs and drum kits by name
midi           Standard MIDI Files
"""
