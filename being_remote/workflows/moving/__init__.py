"""A job that goes on on another host: what is home is put there, and the old attempt is left."""
