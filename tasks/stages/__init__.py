"""The stages of a remix: a verb a file. `graph` says which takes what from which, `registry` imports them all."""
