"""Synthesis: scores rendered on a SoundFont, and the project's own example song.

settings        RenderSettings
soundfont       rendering by tinysoundfont
example_song/   a synthesised song with known stems, notes, beats and f0
"""
