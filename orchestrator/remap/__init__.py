"""Re-map: what the rules of the day make of stored scores. No model looks again, and no decision changes."""
