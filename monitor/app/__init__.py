"""How everything is put together, started, drained and closed."""
