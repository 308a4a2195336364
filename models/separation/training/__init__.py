"""Training of the separation networks.

multitracks    isolated stems, by the way they are used
renderings     multitracks rendered from MIDI
sung_speech    singing synthesised from speech
augmentation   speed, level, width, equaliser and reverberation at random
mixtures       training examples mixed from multitracks
losses         STFT-domain loss of BandMask
mask_cnn       batches and loss of the MaskCnn baseline
separator      batches, optimizer and schedule, for the solver
"""
