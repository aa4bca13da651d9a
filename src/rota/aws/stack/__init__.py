"""The stack as data: what an app needs on AWS, written as one SAM template."""
