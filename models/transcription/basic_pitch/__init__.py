"""Notes by Spotify's Basic Pitch: its network over batches of windows, and decoders that suit each stem."""
