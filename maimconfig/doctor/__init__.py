"""`maimconfig doctor`: what an installation lacks, and what to do about it."""
