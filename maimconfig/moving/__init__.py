"""Tenants and what is theirs, as files and from other services."""
