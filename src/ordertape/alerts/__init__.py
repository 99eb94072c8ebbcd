"""Alerts: rules over live markets, what fired, and who is told."""
