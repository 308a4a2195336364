"""How good a transcription is: metrics, pieces, baselines."""
