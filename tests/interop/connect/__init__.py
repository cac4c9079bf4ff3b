"""Our server and client as the conformance suite of Connect drives them, which is also one for gRPC.

The suite starts a program, and says on its standard input what to serve or to call. The stubs are generated from the suite's own
.proto files: ``tests.interop.test_connect_conformance`` does that, and puts them on the path of the programs.
"""
