"""Tests: properties of each module, offline and on the CPU."""
