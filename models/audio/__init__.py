"""Sound in and out: decoding, encoding, containers, framing, loudness."""
