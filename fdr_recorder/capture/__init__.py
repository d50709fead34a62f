"""From a producer to the writer: the ring, and the client that fills it."""
