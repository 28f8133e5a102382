"""The local stack: private MariaDB, Redis and Triton, and the product's own processes, without root,
system services or containers. Everything of an instance lies under `.local/<instance>/`."""
