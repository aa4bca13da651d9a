"""The entry points of the functions. Importing one makes no client and reads no environment but for tracing."""
