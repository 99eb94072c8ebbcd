"""PostgreSQL: the embedded server, schema, follower and repository; see docs/database.md."""
