"""``consul://``: HashiCorp Consul."""
