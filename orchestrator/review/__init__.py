"""Verdicts of people on suggestions: the rules of DESIGN 5, over the store."""
