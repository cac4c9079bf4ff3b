"""Output for messages=betterproto."""
