"""A board's own tags, users, images and links, taken in from its files: see docs/board-import.md."""
