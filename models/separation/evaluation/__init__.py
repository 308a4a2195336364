"""Evaluation of separation.

metrics   SDR, SI-SDR, frame-wise SDR
scores    all metrics of every source, BSS Eval v4, and the baselines
songs     synthetic songs with known stems
"""
