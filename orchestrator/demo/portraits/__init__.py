"""Drawn cartoon portraits with known tags: what the demonstration models learn from and the demo shows."""

from orchestrator.demo.portraits.render import Portrait, draw_portrait
from orchestrator.demo.portraits.styles import HELD_OUT_STYLES, TRAINING_STYLES, DrawingStyle

__all__ = ["HELD_OUT_STYLES", "TRAINING_STYLES", "DrawingStyle", "Portrait", "draw_portrait"]
