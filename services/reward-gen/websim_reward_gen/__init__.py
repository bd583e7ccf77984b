"""Rewards from words: providers write candidates, the gate judges them, HTTP hands them out."""
