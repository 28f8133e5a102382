"""Rolling a version out: shadow it beside the active one, promote it, roll back, retire it."""
