"""The benchmarks of ordertape: ``python -m bench``; see docs/benchmarks.md."""
