"""Training the Music Transformer: corpus, windows, loop."""
