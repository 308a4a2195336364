"""The voice conversion engines, a file each: so-vits-svc, kNN, WORLD."""
