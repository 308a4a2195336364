"""Mixing of voices and backing, and mastering.

settings          MixSettings, MasterSettings
mixer             the mix: dynamics, reverb, section balance
parts             sources with offset, gain and pan: summed, metered, level-matched
dynamics          gain curves: gate, compressor, ducking
effects           filters, convolution reverb, stereo width, panning
section_balance   voice and backing levels of each section, matched to the original's
mastering         loudness normalisation and a true-peak limiter
"""
