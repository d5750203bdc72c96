"""The worker process: everything that answers queries, put together for one configuration."""
