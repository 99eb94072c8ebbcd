"""Replica books and their readers: frames encoded once, bounded mailboxes, resumption."""
