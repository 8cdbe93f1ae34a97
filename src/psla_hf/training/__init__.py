"""Recipes, and the loop that follows them: exact resume, averages and ensembles on the way."""
