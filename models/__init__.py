"""What computes: arrays and records in, arrays and records out; no Prefect, no store. A room a line:

core           types that flow between stages, errors, validation, weights registry, device
audio          decoding, encoding, containers, framing, loudness, reverb
symbolic       scores, beat maps, harmony, General MIDI, MIDI files
separation     a song into stems, vocals into lead and backing
analysis       f0, onsets, chroma, chords, beats and downbeats
transcription  stems into notes: Basic Pitch, drums, vocals, melody
generation     the Music Transformer: accompany and extend
synthesis      notes into audio: SoundFonts, and the example song
conversion     a voice into another: so-vits-svc, kNN, WORLD; voices and consent
mixing         gains, effects, section balance, mastering
report         metrics, plots, the page

In each room `training/` and `evaluation/` lie apart from inference, which imports neither. Rooms import core, audio and
symbolic; separation, conversion, transcription and report also use analysis, and transcription uses synthesis.
"""
