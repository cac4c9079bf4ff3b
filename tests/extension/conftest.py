"""The suites of acme-micro run where it is installed: test_acme.py starts them."""

collect_ignore = ["acme-micro"]
