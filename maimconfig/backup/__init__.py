"""Backups: the whole database in one file, which restores into SQLite and MySQL alike."""
