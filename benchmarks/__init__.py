"""Benchmarks: each a script that prints one table, with ratios measured side by side in one run."""
