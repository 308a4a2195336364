"""Audio files and signals.

settings      settings of decoding
containers/   audio file formats identified and checked by their own structure
ffmpeg        ffmpeg as a restricted subprocess
decode        an audio file to float32 stereo at 44.1 kHz, in blocks
tags          title, artist, other tags and cover of a file
encode        WAV, FLAC and MP3, written atomically
mp3_process   the MP3 encoder in a subprocess
framing       resampled mono blocks, frames, spectrograms, levels
loudness      ITU-R BS.1770-4 loudness and true peak
mixture       several sources as one
reverb        a synthetic room impulse response
"""
