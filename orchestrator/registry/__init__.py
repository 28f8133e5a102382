"""Model versions: manifests, labels, graph preparation, golden pictures."""
