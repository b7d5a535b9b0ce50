"""Parts of the workflows that look after jobs: rows, looks, sending, taking over."""
