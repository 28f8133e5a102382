"""Benchmarks: `make bench NAME=…`. Each sets up what it needs, prints a table, ends with a line of JSON."""
