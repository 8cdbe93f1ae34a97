"""The bookkeeping of a run: its folder, state, signals, processes, settings, scores and report. Trains nothing."""
