"""The tape: journal, archive, bases, marks; reading, rebuilding and verifying what they hold."""
