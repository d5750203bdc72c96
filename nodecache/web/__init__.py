"""A small web server inside the worker's event loop."""
