"""Music information retrieval from stems: beats, key, chords and pitch.

settings         AnalyseSettings, F0Settings
analyse          the beat grid with key and chords
onset_features   log-band spectra and onset strength
beat_tracker/    beat and downbeat logits by a temporal convolutional network
beats            decoding beats and downbeats from activations
chroma           NNLS note energies, beat-synchronous chroma
f0               fundamental frequency of one voice
training/        training of the beat tracker
"""
