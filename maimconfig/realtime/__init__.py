"""Live connections: what is told to whom after a change is committed."""
