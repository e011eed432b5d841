"""Measures the monitor beside other clients, in the same run on the same machine; see RESULTS.md."""
