"""What order flow tells: metrics of any window of a tape, live and recorded by the same code."""
