"""Evaluation of voice conversion.

voice        F0, voicing, similarity, naturalness, phones and speed of conversions
checkpoint   the same for a voice in training
"""
