"""Singing voice conversion with so-vits-svc-fork's networks, kNN or WORLD.

settings          settings of conversion, without torch
convert           a lead vocal to a voice, phrase by phrase
phrases           level contour, phrase segmentation, loudness matching
key_shift         the shift that brings a melody into a voice's range
ltas_eq           equaliser towards the voice's long-term average spectrum
content           HuBERT content features
metrics           speaker similarity and DNSMOS
torchaudio_shim   torchaudio beside a CPU build of torch
engines/          so-vits-svc, kNN, WORLD
voices/           installed voices, consent, revocation
training/         voices and content encoders
evaluation/       F0, similarity, naturalness, phones
"""

DEFAULT_VOICE = "lj"
"""The default voice: the shipped so-vits-svc voice (its metrics: `remix eval voice`)."""
