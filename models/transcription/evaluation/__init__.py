"""Evaluation of transcription: metrics, reference pieces, baselines."""
