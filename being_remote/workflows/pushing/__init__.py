"""What `push` is made of: what is to be sent, and the way of files into their places on a host."""
