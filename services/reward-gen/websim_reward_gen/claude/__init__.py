"""Claude as a provider: key, prompt, answer, one careful HTTP conversation, budget."""
