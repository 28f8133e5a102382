"""From an address to tensors: fetch within limits, decode in expendable processes, letterbox exactly."""
