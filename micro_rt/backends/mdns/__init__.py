"""``mdns:``: multicast DNS, without a server."""
