"""Results for people: tables and plots. Knows nothing of how results came about."""
