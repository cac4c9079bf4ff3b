"""One run of the generator: a request comes in, a response goes out."""
