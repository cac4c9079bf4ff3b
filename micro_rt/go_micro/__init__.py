"""The values and bytes of go-micro's formats."""
