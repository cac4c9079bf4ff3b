"""What generated messages of a dialect other than protobuf's own stand on."""
