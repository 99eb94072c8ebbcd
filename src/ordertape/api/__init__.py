"""The server's REST and WebSocket interface; no logic of its own."""
