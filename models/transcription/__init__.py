"""Transcription of stems to notes.

settings         settings of all that follows
transcribe       a song's stems as a score
basic_pitch/     note posteriors by Basic Pitch, their decoding, and a filter of the decoded notes
vocals           notes of a pitch track
melody           the melody, from the pitch track or from Basic Pitch
drums            drum onsets by non-negative least squares
program_choice   the General MIDI program nearest to a stem in timbre
evaluation/      metrics, reference pieces, baselines
"""
