"""What several packages of tests share: one way to wait, sizes for both commands, and the labs."""
