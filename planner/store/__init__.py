"""The store: every run, fit and answer in SQL, on SQLite or PostgreSQL."""
