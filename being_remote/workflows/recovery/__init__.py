"""Parts of recover: where its inputs are found, what it reports, the picture it draws."""
