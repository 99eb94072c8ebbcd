"""Who may ask the server what, and how much of it."""
