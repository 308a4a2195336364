"""Training of the Music Transformer.

corpus               MIDI collections as quantized pieces, near-duplicates, the held-out split
windows              training windows with augmentation
transcription_noise  transcription errors, measured on known pieces and applied to others
music_transformer    losses of the next event, optimizers, schedule, for the solver
"""
