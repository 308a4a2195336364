"""Evaluation of the Music Transformer.

continuation    continuations against the song's own and simple baselines
accompaniment   bands for whole songs, beside the song's own
robustness      prompts with transcription and beat errors
likelihood      negative log-likelihood, with and without the n-gram cache; fitting the cache's weights
markov          the n-gram baseline
metrics         metrics of notes
"""
