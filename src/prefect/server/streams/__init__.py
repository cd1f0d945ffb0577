"""What goes over websockets: events and logs, scheduled task runs, the channel between workers and their pools."""
