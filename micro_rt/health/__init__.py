"""Health: what a service says of itself, and the protocol in which load balancers and registries ask for it."""
