"""The HTTP API under /api/v1, with health and metrics. `app.create_app` makes the process's application."""
