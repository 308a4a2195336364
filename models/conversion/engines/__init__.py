"""Voice conversion engines.

so_vits           so-vits-svc: content features and F0 to audio
so_vits_network   its generator: safe loading, seeded prior, windowed decoding
unvoiced_noise    unvoiced frames replaced by shaped noise
knn               nearest-neighbour conversion without training
world             the WORLD vocoder with shifted formants
"""
