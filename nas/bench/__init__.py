"""Benchmarks of what this project claims: `python -m nas.bench search`."""
