"""What the demonstration needs: drawn portraits, the models trained on them, the demo board."""
