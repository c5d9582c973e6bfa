"""Puts a simulated venue on sockets and in-memory streams, on the system clock or a virtual one."""
