"""ordertape records, keeps, rebuilds, replays and reads level-3 order books."""
