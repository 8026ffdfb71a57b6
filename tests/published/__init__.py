"""Models that publish themselves, on a schema like that of cachemodel's own tests; and their tests."""
