"""A run apart from what it trains: its folder and state, its processes, how it is carried out, stopped and reported.

Imports nothing: who reads a run's folder needs none of what writes it.
"""
