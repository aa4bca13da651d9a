"""Batch runs on this machine.

host        notices batch runs in the store, and gives each a conductor
conductor   drives one batch run: planner -> jobs -> workers -> marks -> verdict
planner     a thread that cuts the source, no further ahead than it must
workers     the processes of one batch run; worker is what runs in each
ending      results in place, manifest, receipt, notification
"""
