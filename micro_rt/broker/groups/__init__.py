"""Groups of brokers whose engine knows none: which member reads which partition, and what a member does about that."""
