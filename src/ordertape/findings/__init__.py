"""Patterns of orders found on a tape, each with its evidence and what speaks against it."""
