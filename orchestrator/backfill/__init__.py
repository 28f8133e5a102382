"""Analysing many images behind everything that people wait for: which ones, and how far it is.

What is to be done is in the database; the keeper's feeder (`orchestrator.feeder`) queues it by and by.
"""
