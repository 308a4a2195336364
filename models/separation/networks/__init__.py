"""The baseline of the past: a convolutional network that says, bin by bin, whether a voice is louder than the band."""
