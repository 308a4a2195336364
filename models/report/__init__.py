"""The report of a remix: measurements, plots, and one self-contained HTML page.

types           the report's input and its measurements
metrics         all metrics, with ratings and descriptions
audio_metrics   metrics of audio
score_metrics   metrics of notes
plots           waveforms, spectrograms, summary plots
dag             layered layout of the run's task graph
page            the HTML page (page.html.j2, page.css, *.js)
"""
