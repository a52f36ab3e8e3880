"""AI providers: what asks them, what is tried when one fails, and what they may be reached at."""
