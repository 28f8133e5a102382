"""The review desk: server-rendered pages at /desk, and the pictures that they show."""
