"""Atlas: the real places of the world in a Django project that uses Everfresh. Start at ``demo.py``."""
