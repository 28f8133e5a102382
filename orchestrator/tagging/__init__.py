"""Scores → suggestions: pure rules over a plan in memory, the same for live pictures and re-maps."""
