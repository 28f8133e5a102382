"""Tag suggestions for an image board: image → fetch → preprocess → infer → resolve → store → review."""
