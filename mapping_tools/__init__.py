"""Tools that maintain the mapping from external tags (Danbooru's) to the board's own tags."""
