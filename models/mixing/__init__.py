"""Parts into a track: gains, effects, balance, mastering."""
