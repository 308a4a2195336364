"""The project's own separation networks.

band_mask   band-split masking network
wiener      multichannel Wiener filter on its masks
mask_cnn    CNN with a binary mask, a baseline
"""
