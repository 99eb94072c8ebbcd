"""What the web page is sent: pictures of a market, live or replayed, as frames and tiles."""
