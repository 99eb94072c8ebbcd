"""Lives of orders out of a tape: one row an order, when its end is known."""
