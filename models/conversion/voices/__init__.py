"""Installed voices and their consent.

registry     folders, cards, consent records and digests
revocation   consent taken back
install      adding and removing a user's voice
"""
